"""Tests of the watchdog, with a clock that the test sets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.runner.chains.board import StageId
from service.runner.commits.attempt import Attempt
from service.runner.trial.heartbeat import HEARTBEAT
from service.runner.tuning.watchdog import LOOK_S, Watchdog
from service.spec.blocks import Limits
from service.storage import StageFolder

STAGE = StageId("c", 0)


@dataclass(frozen=True)
class CountedFolder(StageFolder):
    """A stage's folder that counts how often the watchdog reads it."""

    looks: list[Path] = field(default_factory=list)
    # The numbers of the looks at which the storage does not answer.
    silent: set[int] = field(default_factory=set)

    def attempt_numbers(self) -> list[int]:
        self.looks.append(self.path)
        if len(self.looks) in self.silent:
            raise OSError("stale file handle")
        return super().attempt_numbers()


class Watch:
    """A watchdog over one trial, whose process the test plays."""

    def __init__(self, tmp_path: Path, **limits: Any) -> None:
        self.now = 1_000.0
        self.killed: list[str] = []
        self.folder = CountedFolder(tmp_path / "0")
        self.dog = Watchdog(Limits(**limits), self.killed.append, lambda: self.now, grace_s=5)

    def begin(self, spent_s: float = 0) -> None:
        self.dog.began(STAGE, "actor", self.folder, spent_s)

    def after(self, seconds: float) -> list[str]:
        self.now += seconds
        self.dog.look()
        return self.killed


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path, stall_s=10)


def test_a_storage_that_fails_now_and_then_is_no_sign_of_life(watch: Watch) -> None:
    watch.begin()
    watch.folder.silent.update({2, 4, 6})
    for _ in range(5):
        assert watch.after(2) == []
    assert watch.after(2) == ["actor"]


def test_a_trial_that_makes_no_step_is_ended_once(watch: Watch) -> None:
    watch.begin()
    assert watch.after(9) == []
    assert watch.after(2) == ["actor"]
    assert watch.after(20) == ["actor"]
    verdict = watch.dog.ended(STAGE)
    assert verdict is not None
    assert (verdict.type, verdict.whose) == ("stalled", "cluster")
    assert verdict.message == "the trial made no step for 10 s (limits.stall_s)"
    assert watch.dog.ended(STAGE) is None


def test_a_new_attempt_and_every_heartbeat_are_signs_of_life(watch: Watch) -> None:
    watch.begin()
    watch.after(9)
    attempt = Attempt(watch.folder)
    assert watch.after(9) == []
    for beat in range(3):
        (attempt.path / HEARTBEAT).write_text(str(beat))
        assert watch.after(9) == []
    assert watch.after(11) == ["actor"]


def test_a_sign_of_life_counts_from_the_time_at_which_it_is_seen(watch: Watch) -> None:
    watch.begin()
    Attempt(watch.folder)
    assert watch.after(3_600) == [], "there was a new sign while the driver slept"


def test_a_trial_that_does_not_end_by_itself_in_time_is_ended(tmp_path: Path) -> None:
    watch = Watch(tmp_path, stall_s=None, max_time_s=20)
    watch.begin(spent_s=12)
    assert watch.after(12) == []
    assert watch.after(2) == ["actor"]
    verdict = watch.dog.ended(STAGE)
    assert verdict is not None
    assert verdict.type == "max_time"
    assert verdict.message == ("the stage ran for 26.0 s; limits.max_time_s is 20, and it did not end by itself")


@pytest.mark.parametrize(
    ("limits", "interval_s"),
    [({}, LOOK_S), ({"stall_s": 10}, 1), ({"max_time_s": 60}, 6), ({"max_time_s": 900}, LOOK_S)],
)
def test_the_watchdog_checks_ten_times_a_limit_and_at_least_every_half_minute(
    tmp_path: Path, limits: dict[str, float], interval_s: float
) -> None:
    watch = Watch(tmp_path, **limits)
    watch.begin()
    before = len(watch.folder.looks)
    for seconds, expected in ((0, 1), (interval_s - 0.5, 1), (0.5, 2), (interval_s, 3)):
        watch.after(seconds)
        assert len(watch.folder.looks) - before == expected


def test_without_limits_no_trial_is_ended_or_checked(tmp_path: Path) -> None:
    watch = Watch(tmp_path, stall_s=None)
    watch.begin()
    before = len(watch.folder.looks)
    assert watch.after(1e6) == []
    assert len(watch.folder.looks) == before
