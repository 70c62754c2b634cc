"""Tests of the time for which trials may continue after their experiment is stopped."""

import pickle
import threading

import pytest

from service.runner.tuning.stop_window import StopWindow, WindowStopper


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stopped() -> threading.Event:
    return threading.Event()


@pytest.fixture
def window(stopped: threading.Event, clock: Clock) -> StopWindow:
    window = StopWindow(stopped, 60, clock)
    window.began("a")
    window.began("b")
    return window


def test_no_trial_stops_before_the_experiment_does(window: StopWindow, clock: Clock) -> None:
    clock.now += 1e6
    assert not window.stopping
    assert not window.closed()
    assert not WindowStopper(window)("trial", {})


def test_the_window_closes_when_all_trials_that_ran_at_the_stop_have_ended(
    window: StopWindow, stopped: threading.Event
) -> None:
    stopped.set()
    assert WindowStopper(window)("trial", {}), "a trial stops with the epoch that it reports"
    assert not window.closed()
    window.ended("a")
    window.began("late")  # the window does not wait for a trial that Tune held ready
    assert not window.closed()
    window.ended("b")
    assert window.closed()


def test_the_window_closes_when_its_time_is_over(window: StopWindow, stopped: threading.Event, clock: Clock) -> None:
    clock.now += 1000
    stopped.set()
    assert not window.closed(), "the time starts when the stop is first seen"
    clock.now += 59.9
    assert not WindowStopper(window).stop_all()
    clock.now += 0.2
    assert WindowStopper(window).stop_all()


def test_the_window_closes_at_once_if_no_trial_runs(stopped: threading.Event) -> None:
    stopped.set()
    assert StopWindow(stopped, 60).closed()


def test_tune_may_pickle_the_stopper(window: StopWindow) -> None:
    copy = pickle.loads(pickle.dumps(WindowStopper(window)))
    assert not copy.stop_all()


def test_a_superseded_driver_ends_all_trials_at_once(window: StopWindow) -> None:
    assert WindowStopper(window, lambda: True).stop_all()
    assert not WindowStopper(window, lambda: False).stop_all()
