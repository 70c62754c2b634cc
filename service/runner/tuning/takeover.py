"""The takeover by a newer driver, after which the older driver ends.

If the older driver continued, the two drivers would supersede each other's attempts forever.

Each driver makes a numbered folder when it starts; the newest driver has the largest number. Until the older driver
notices the newer one, its commits do no harm.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from service.storage import ExperimentFolder

# The shortest time, s, between two listings of the folder.
LOOK_EVERY_S = 1.0


class Takeover:
    """The check for newer drivers.

    Args:
        folder: The experiment's folder.
        attempt: The number of the driver that checks.
        clock: A monotonic clock, in s.
    """

    def __init__(self, folder: ExperimentFolder, attempt: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._attempt, self._clock = folder, attempt, clock
        self._looked_at: float | None = None
        self._newest = attempt

    @property
    def newest(self) -> int:
        """The number of the newest driver that was seen."""
        return self._newest

    def has_come(self) -> bool:
        """Return whether there is a newer driver."""
        now = self._clock()
        if self._newest == self._attempt and (self._looked_at is None or now - self._looked_at >= LOOK_EVERY_S):
            self._looked_at = now
            with suppress(OSError):  # the storage does not answer: look again next time
                self._newest = max([self._attempt, *self._folder.driver_numbers()])
        return self._newest > self._attempt
