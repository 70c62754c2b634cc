"""AEDAT 2.0 files for tests, written event by event."""

import struct
from collections.abc import Iterable
from pathlib import Path

HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# Timestamps tick is 1 us\r\n"


def record(t: int, x: int, y: int, p: int) -> bytes:
    """Return the eight bytes of one event."""
    return struct.pack(">II", x << 8 | y << 1 | p, t)


def write_aedat(path: Path, events: Iterable[tuple[int, int, int, int]], header: bytes = HEADER) -> Path:
    """Write events (t, x, y, p) to a file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"".join(record(*event) for event in events))
    return path
