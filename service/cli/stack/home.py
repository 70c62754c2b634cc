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


class Busy(StackError):  # noqa: N818 - the name says what is wrong
    """The error if another process starts or ends the stack at this moment."""


def check_home(settings: Settings) -> None:
    """Check that TET_HOME is a folder that this user can read and write, or does not exist yet.

    Raises:
        StackError: It is something else; the message says what.
    """
    home = settings.home
    try:
        if not os.path.lexists(home):
            return
        if home.is_symlink() and not home.exists():
            raise _unusable(home, f"it is a link to {os.readlink(home)}, which does not exist")
        if not home.is_dir():
            raise _unusable(home, "it is no folder")
    except OSError as error:
        raise _unusable(home, error.strerror or str(error)) from None
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise _unusable(home, f"user {os.getuid()}, who runs this, may not read and write there")


def _unusable(home: Path, reason: str) -> StackError:
    return StackError(f"TET_HOME={home} cannot be used: {reason}; set TET_HOME to a folder that you can write")


def make_home(settings: Settings) -> None:
    """Make the stack's folders, which only this user can read, and a token for Ray."""
    check_home(settings)
    try:
        for folder in (settings.home, settings.home / "run", settings.home / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        settings.home.chmod(0o700)
    except OSError as error:
        raise _unusable(settings.home, f"{error.strerror} ({error.filename})") from None
    try:
        settings.storage.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(
            f"TET_STORAGE={settings.storage} cannot be used: {error.strerror} ({error.filename})"
        ) from None
    try:
        _make_token(settings.ray_token_file)
    except OSError as error:
        file = settings.ray_token_file
        raise StackError(f"TET_RAY_TOKEN_FILE={file} cannot be used: {error.strerror} ({error.filename})") from None


def _make_token(file: Path) -> None:
    if file.exists() and file.stat().st_size > 0:
        return
    file.unlink(missing_ok=True)  # an empty file: the disk was full when it was written
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secrets.token_hex(32))


def make_private(folder: Path) -> None:
    """Make a folder in /tmp that only this user can read.

    Raises:
        StackError: It cannot be made, or belongs to another user, who could read or replace its files.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StackError(f"{folder} cannot be made: {error.strerror}; remove what is there, or free space") from None
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
