"""The event file of one driver. The driver appends to it; the reconciler reads the new lines."""

import os
import threading
from pathlib import Path

from service.events import AnyEvent


class EventFile:
    """An event file: one JSON object a line, flushed at once. Several threads may append to it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._lock = threading.Lock()

    def append(self, event: AnyEvent) -> None:
        """Write one event."""
        line = event.model_dump_json().encode() + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()

    def close(self) -> None:
        """Close the file, and wait until the storage has all of it."""
        with self._lock:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
