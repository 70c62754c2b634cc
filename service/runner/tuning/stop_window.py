"""The stop of trials: running trials may end their epoch within a limited time, and no new trial starts."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from ray.tune import Stopper
from ray.tune.stopper import NoopStopper


class StopWindow:
    """The running trials, and the time that is left to them after a stop.

    Args:
        stopped: Set once the experiment must stop.
        window_s: The time, in s, for which trials may continue after `closed` first sees that `stopped` is set.
        clock: A monotonic clock, in s.
    """

    def __init__(self, stopped: threading.Event, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stopped, self._window_s, self._clock = stopped, window_s, clock
        self._running: set[Hashable] = set()
        self._awaited: set[Hashable] = set()
        self._deadline: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether no new trial may start."""
        return self._stopped.is_set()

    def began(self, work: Hashable) -> None:
        """Note that a trial has started, or still runs."""
        self._running.add(work)

    def ended(self, work: Hashable) -> None:
        """Note that a trial has ended."""
        self._running.discard(work)

    def closed(self) -> bool:
        """Return whether all trials that ran at the stop have ended, or their time is over."""
        if not self.stopping:
            return False
        if self._deadline is None:
            self._deadline = self._clock() + self._window_s
            self._awaited = set(self._running)
        self._awaited &= self._running
        return not self._awaited or self._clock() >= self._deadline


class WindowStopper(Stopper):
    """Ends each trial at the end of its epoch once the experiment must stop, and all trials once the window has closed.

    Args:
        window: The experiment's stop window.
        stop_now: Returns whether to end all trials at once.
    """

    def __init__(self, window: StopWindow, stop_now: Callable[[], bool] = lambda: False) -> None:
        self._window, self._stop_now = window, stop_now

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether a trial ends after this report. The epoch of the report is already committed."""
        return self._window.stopping

    def stop_all(self) -> bool:
        """Return whether to end all trials at once."""
        return self._window.closed() or self._stop_now()

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its stopper for a restore that is never made. Locks cannot be pickled.
        return (NoopStopper, ())
