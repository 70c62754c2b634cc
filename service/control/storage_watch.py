"""The storage watch: without room on the shared storage, trials would fail one by one, so all are paused instead."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# A full disk is noticed within this time; looking more often would load an NFS server.
INTERVAL_S = 5.0
# Written and removed to notice a quota, which the count of free bytes does not show.
PROBE_BYTES = 65_536
# To go on, more room is needed than the limit, or it would soon stop again.
ENOUGH = 1.25


class StorageWatch:
    """A watch that looks at the storage from time to time.

    Args:
        storage: The storage's folder.
        min_free_bytes: With less free space it counts as full.
        clock: Returns seconds that only rise.
    """

    def __init__(self, storage: Path, min_free_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._min_free, self._clock = storage, min_free_bytes, clock
        self._looked_at: float | None = None
        self._found: str | None = None

    def trouble(self) -> str | None:
        """Return what keeps experiments from writing; None if nothing does."""
        if self._looked_at is None or self._clock() - self._looked_at >= INTERVAL_S:
            self._found = self._look()
            self._looked_at = self._clock()
        return self._found

    def _look(self) -> str | None:
        wanted = self._min_free * (1 if self._found is None else ENOUGH)
        try:
            free = shutil.disk_usage(self._storage).free
            if free < wanted:
                return f"the storage is full: {_mb(free)} are free at {self._storage}, {_mb(wanted)} are needed"
            with tempfile.TemporaryFile(dir=self._storage) as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
        except OSError as error:
            return f"the storage cannot be written: {error.strerror} ({self._storage})"
        return None


def _mb(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.0f} MB"
