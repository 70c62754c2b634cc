"""The stop of trials: those that run may end their epoch within a time; no new one starts."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from ray.tune import Stopper
from ray.tune.stopper import NoopStopper


class StopWindow:
    """The trials that run, and how much longer they may go on.

    Args:
        stopped: Set once the experiment is to stop.
        window_s: How long, in s, trials may go on after that was first seen.
        clock: A monotonic clock, in s.
    """

    def __init__(self, stopped: threading.Event, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stopped, self._window_s, self._clock = stopped, window_s, clock
        self._at_work: set[Hashable] = set()
        self._awaited: set[Hashable] = set()
        self._deadline: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether no new trial may start."""
        return self._stopped.is_set()

    def began(self, work: Hashable) -> None:
        """Note that a trial runs."""
        self._at_work.add(work)

    def ended(self, work: Hashable) -> None:
        """Note that a trial has ended."""
        self._at_work.discard(work)

    def closed(self) -> bool:
        """Return whether all trials that ran when the stop came have ended, or their time is over."""
        if not self.stopping:
            return False
        if self._deadline is None:
            self._deadline = self._clock() + self._window_s
            self._awaited = set(self._at_work)
        self._awaited &= self._at_work
        return not self._awaited or self._clock() >= self._deadline


class WindowStopper(Stopper):
    """Stops each trial at its next epoch once the experiment stops, and all of them when the window has closed.

    Args:
        window: The experiment's.
        given_up: Whether the driver has nothing left to do; then all trials are ended at once.
    """

    def __init__(self, window: StopWindow, given_up: Callable[[], bool] = lambda: False) -> None:
        self._window, self._given_up = window, given_up

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether a trial ends after this report, whose epoch is committed."""
        return self._window.stopping

    def stop_all(self) -> bool:
        """Return whether all trials are ended at once."""
        return self._window.closed() or self._given_up()

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its stopper for a restore that is never made. Locks cannot be pickled.
        return (NoopStopper, ())
