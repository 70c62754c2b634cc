"""Has a newer driver begun? Then the older one has nothing left to do: two would take each other's stages for ever.

Each driver makes a numbered folder when it begins, so the newest is the one with the largest number. What an older
one still commits does no harm; it only wastes work.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from service.storage import ExperimentFolder

# The folder is listed at most so often.
LOOK_EVERY_S = 1.0


class Takeover:
    """Looks for a newer driver from time to time.

    Args:
        folder: The experiment's.
        attempt: The number of the driver that asks.
        clock: Seconds, rising.
    """

    def __init__(self, folder: ExperimentFolder, attempt: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._attempt, self._clock = folder, attempt, clock
        self._looked_at: float | None = None
        self._newest = attempt

    @property
    def newest(self) -> int:
        """The newest driver that was seen."""
        return self._newest

    def has_come(self) -> bool:
        """Whether there is a newer driver."""
        now = self._clock()
        if self._newest == self._attempt and (self._looked_at is None or now - self._looked_at >= LOOK_EVERY_S):
            self._looked_at = now
            with suppress(OSError):  # the storage is away for a moment: it is looked at again
                self._newest = max([self._attempt, *self._folder.driver_numbers()])
        return self._newest > self._attempt
