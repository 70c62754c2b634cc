"""The file to which one driver appends what happens; the reconciler reads it from where it left off."""

import threading
from pathlib import Path

from service.events import AnyEvent


class EventFile:
    """Appends events, a JSON object a line, flushed at once. Safe to use from several threads."""

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
        """Close the file."""
        self._file.close()
