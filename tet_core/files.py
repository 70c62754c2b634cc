"""Files that several processes write: after a crash, as for any reader, a file is there whole or not at all."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, write: Callable[[BinaryIO], object] | bytes) -> None:
    """Write a file through a temporary one beside it: fsync, rename, fsync of the folder.

    Args:
        path: Where; a file already there is replaced. Its folder must exist.
        write: The content, or a function that writes it to the open file.

    Raises:
        OSError: If the disk is full, or the folder is missing or read-only; nothing is left behind.
    """
    with _temporary(path) as temporary:
        with temporary.open("wb") as file:
            file.write(write) if isinstance(write, bytes) else write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    sync_folder(path.parent)


def write_once(path: Path, content: bytes) -> bool:
    """Write a whole file unless it is there already: of several writers the first one wins.

    Args:
        path: Where; its folder must exist.
        content: What to write.

    Returns:
        Whether this call wrote it.

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
        # On NFS a link can succeed and its answer be lost; the retry then finds the file in place: ours.
        if not os.path.samefile(source, target):
            return False
    sync_folder(target.parent)
    return True


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    # A random name keeps the writers of one path apart, also on several machines; the last rename wins.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def only_one(lock: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Wait for a lock among processes, and hold it within this context; the system frees it if the process dies.

    Args:
        lock: Its file, which is made and stays.
        on_wait: Called if another process holds the lock.

    Yields:
        Whether the lock is held: False if the file system has no locks, so that others are not kept out.
    """
    with lock.open("w") as handle:
        held = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            held = False
        yield held


def sync_folder(folder: Path) -> None:
    """Make sure that what was created, renamed or linked in `folder` survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
