"""Work that is repeated for people: often enough to follow it, and never for more than one percent of the time."""

import time
from collections.abc import Callable

# The largest share of the time that the work may take.
MAX_SHARE = 0.01


class Sparing:
    """Says when the work is due again.

    Args:
        interval_s: The shortest time, in s, from the end of the work to the next time.
        clock: A monotonic clock, in s.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s, self._clock = interval_s, clock
        self._began = clock()
        self._due = self._began

    def is_due(self) -> bool:
        """Return whether the work is due. If it is, it counts as begun now."""
        now = self._clock()
        if now < self._due:
            return False
        self._began = now
        return True

    def done(self) -> None:
        """Note that the work has been done."""
        now = self._clock()
        self._due = now + max(self._interval_s, (now - self._began) / MAX_SHARE)
