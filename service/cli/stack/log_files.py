"""The log files of components. Processes only append to them, so the supervisor shortens a file that grows too long."""

import contextlib
import os
import shutil
from pathlib import Path


def previous(log: Path) -> Path:
    """Return the file with the earlier content of a log."""
    return log.with_suffix(".previous.log")


def start_new(log: Path) -> None:
    """Move a log aside before its component starts."""
    if log.exists():
        log.replace(previous(log))


def rotate(log: Path, max_bytes: int) -> bool:
    """Move the content of a log aside if it is longer than `max_bytes`; return whether it was.

    The component's process keeps the file open and does not know of this. So the last `max_bytes` of the content are
    copied, and the file is emptied. The process appends, so it continues at the new end. A line that it writes between
    these two steps is lost, and so is the content if the disk has no room for the copy.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return False
    if size <= max_bytes:
        return False
    with contextlib.suppress(OSError):
        _copy_end(log, size - max_bytes)
    os.truncate(log, 0)
    return True


def _copy_end(log: Path, start: int) -> None:
    aside = log.with_suffix(".rotating")
    try:
        with log.open("rb") as source, aside.open("wb") as target:
            source.seek(start)
            shutil.copyfileobj(source, target)
        aside.replace(previous(log))
    finally:
        aside.unlink(missing_ok=True)
