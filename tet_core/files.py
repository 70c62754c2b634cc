"""Files that several processes write: a reader sees a whole file or none, also after a crash."""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

_LOOK_S = 0.1  # time, in s, between two looks at a lock that another process holds


def write_atomic(path: Path, write: Callable[[BinaryIO], object] | bytes, *, sync_entry: bool = True) -> None:
    """Write a file through a temporary one in the same folder: fsync, rename, fsync of the folder.

    Args:
        path: Path of the file, which is replaced if it exists. Its folder must exist.
        write: The content, or a function that writes it to the open file.
        sync_entry: Whether to end with the folder's fsync. Without it, the caller has to sync the folder before it
            relies on the file.

    Raises:
        OSError: If the disk is full, or the folder is missing or read-only; the temporary file is deleted.
    """
    with _temporary(path) as temporary:
        with temporary.open("wb") as file:
            file.write(write) if isinstance(write, bytes) else write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    if sync_entry:
        sync_folder(path.parent)


def write_once(path: Path, content: bytes) -> bool:
    """Write a whole file unless it exists: of several writers the first one wins.

    Args:
        path: Path of the file; its folder must exist.
        content: The content of the file.

    Returns:
        Whether this call wrote the file.

    Raises:
        OSError: As for `write_atomic`.
    """
    with _temporary(path) as temporary:
        write_atomic(temporary, content)
        return link_once(temporary, path)


def link_once(source: Path, target: Path) -> bool:
    """Give a file on disk a second name by link(2); return False if another process was first.

    Raises:
        OSError: If the folder is missing or read-only, or the file is on another file system.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        # On NFS a link can succeed while the reply is lost; the system's retry then finds the link, which is ours.
        if not os.path.samefile(source, target):
            return False
    sync_folder(target.parent)
    return True


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    # A random name keeps the writers of one path apart, on several machines too; the last rename wins.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def only_one(
    lock: Path, on_wait: Callable[[], object] = lambda: None, while_waiting: Callable[[], object] = lambda: None
) -> Iterator[bool]:
    """Wait for a lock among processes, and hold it within this context; the system frees it if the process dies.

    Args:
        lock: Path of the lock file, which is created if missing and never deleted.
        on_wait: Called once if another process holds the lock.
        while_waiting: Called several times a second while another process holds the lock.

    Yields:
        Whether the lock is held: False if the file system has no locks, so that other processes may enter too.
    """
    with lock.open("w") as handle:
        is_locked = _take(handle)
        if is_locked is False:
            on_wait()
        while is_locked is False:
            while_waiting()
            time.sleep(_LOOK_S)
            is_locked = _take(handle)
        yield bool(is_locked)


def _take(handle: TextIO) -> bool | None:
    """Take a lock; return False if another process holds it, and None if the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk (fsync): new, renamed and linked files then survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
