"""How trials are stopped: those at work may end their epoch first, for a while; nothing new begins."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from ray.tune import Stopper
from ray.tune.stopper import NoopStopper


class StopWindow:
    """What is at work, and how much longer it may go on.

    Args:
        stopped: Set once the experiment is to stop.
        window_s: How long, from when that is first seen, work may go on.
        clock: Seconds, rising.
    """

    def __init__(self, stopped: threading.Event, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stopped, self._window_s, self._clock = stopped, window_s, clock
        self._at_work: set[Hashable] = set()
        self._awaited: set[Hashable] = set()
        self._deadline: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether nothing new may begin."""
        return self._stopped.is_set()

    def began(self, work: Hashable) -> None:
        """A trial is at work."""
        self._at_work.add(work)

    def ended(self, work: Hashable) -> None:
        """It is no longer."""
        self._at_work.discard(work)

    def closed(self) -> bool:
        """Whether all that was at work when the stop came has ended, or its time is over."""
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
        window: Of the experiment.
        given_up: Whether the driver has nothing to do any more: then all of them are cut off.
    """

    def __init__(self, window: StopWindow, given_up: Callable[[], bool] = lambda: False) -> None:
        self._window, self._given_up = window, given_up

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether this trial ends here: what it reports has been committed."""
        return self._window.stopping

    def stop_all(self) -> bool:
        """Whether whatever still runs is cut off."""
        return self._window.closed() or self._given_up()

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its stopper for a restore that is never made; locks must not go along.
        return (NoopStopper, ())
