"""The folder of a local stack: who may read it, the lock that guards it, and the settings that it was started with."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from service.errors import TetError
from service.settings import Settings


class StackError(TetError):
    """The error of a stack that cannot be started or ended; the message says what to do."""


class Busy(StackError):  # noqa: N818 - named for what it says
    """The error if another process starts or ends the stack at this moment."""


def make_home(settings: Settings) -> None:
    """Make the stack's folders, which only this user can read, and a token for Ray."""
    try:
        for folder in (settings.home, settings.home / "run", settings.home / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        settings.home.chmod(0o700)
        settings.storage.mkdir(parents=True, exist_ok=True)
        if not settings.ray_token_file.exists():
            descriptor = os.open(settings.ray_token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
    except OSError as error:
        raise StackError(f"TET_HOME={settings.home} cannot be used: {error}") from None


def make_private(folder: Path) -> None:
    """Make a folder in /tmp that only this user can read.

    Raises:
        StackError: The folder belongs to another user, who could read or replace its files.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StackError(f"{folder} belongs to another user: remove it, or set TET_HOME to another folder")
    folder.chmod(0o700)


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the lock of the stack, so that no other `tet` starts or ends it; the lock ends with this process."""
    with (settings.home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another `tet up` or `tet down` is running for {settings.home}: wait for its end") from None
        yield


def settings_digest(settings: Settings) -> str:
    """Return a digest that differs if the settings differ."""
    return hashlib.sha256(json.dumps(settings.environment(), sort_keys=True).encode()).hexdigest()
