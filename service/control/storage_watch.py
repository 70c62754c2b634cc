"""Is there room on the shared storage? What finds none fails one by one; better it is paused as a whole."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# A full disk is noticed within this time; looking more often would cost an NFS server more than it tells.
INTERVAL_S = 5.0
# Written, and removed, to learn of quotas: they show in no count of free bytes.
PROBE_BYTES = 65_536
# To go on, there has to be more room than what counts as too little, or it would stop at once again.
ENOUGH = 1.25


class StorageWatch:
    """Looks at the storage from time to time.

    Args:
        storage: Where.
        min_free_bytes: Below this much, it counts as full.
        clock: Seconds, rising.
    """

    def __init__(self, storage: Path, min_free_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._min_free, self._clock = storage, min_free_bytes, clock
        self._looked_at: float | None = None
        self._found: str | None = None

    def trouble(self) -> str | None:
        """What keeps experiments from writing, in words; None if nothing does."""
        if self._looked_at is None or self._clock() - self._looked_at >= INTERVAL_S:
            self._found = self._look()
            self._looked_at = self._clock()
        return self._found

    def _look(self) -> str | None:
        wanted = self._min_free * (1 if self._found is None else ENOUGH)
        try:
            free = shutil.disk_usage(self._storage).free
            if free < wanted:
                return f"the storage is full: {_mb(free)} are free at {self._storage}, and {_mb(wanted)} have to be"
            with tempfile.TemporaryFile(dir=self._storage) as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
        except OSError as error:
            return f"the storage cannot be written: {error.strerror} ({self._storage})"
        return None


def _mb(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.0f} MB"
