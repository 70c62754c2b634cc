"""The storage watch: without space on the shared storage, trials would fail one by one, so all are paused instead."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Seconds between two checks of the storage; more checks would load an NFS server.
INTERVAL_S = 5.0
# Bytes that are written and removed to notice a quota, which the number of free bytes does not show.
PROBE_BYTES = 65_536
# Experiments continue once the free space is the limit times this factor; else they would soon be paused again.
RELEASE_FACTOR = 1.25


class StorageWatch:
    """A watch that checks the storage every `INTERVAL_S`.

    Args:
        storage: The storage's folder.
        min_free_bytes: Free bytes below which the storage counts as full.
        clock: Returns the time in seconds, which never decreases.
    """

    def __init__(self, storage: Path, min_free_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._min_free, self._clock = storage, min_free_bytes, clock
        self._checked_at: float | None = None
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """Return what keeps experiments from writing; None if nothing does."""
        if self._checked_at is None or self._clock() - self._checked_at >= INTERVAL_S:
            self._trouble = self._check()
            self._checked_at = self._clock()
        return self._trouble

    def _check(self) -> str | None:
        needed = self._min_free * (1 if self._trouble is None else RELEASE_FACTOR)
        try:
            free = shutil.disk_usage(self._storage).free
            if free < needed:
                return f"the storage is full: {_mb(free)} are free at {self._storage}, {_mb(needed)} are needed"
            with tempfile.TemporaryFile(dir=self._storage) as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
        except OSError as error:
            return f"the storage cannot be written: {error.strerror} ({self._storage})"
        return None


def _mb(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.0f} MB"
