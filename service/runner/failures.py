"""Whose failure it is: the user's, which a retry would only repeat, or the cluster's, which it may cure."""

import errno
import traceback
from typing import Any, Literal

from service.errors import printable

# The ways in which shared storage fails for a while. Anything else an OSError tells (no such data set, no
# permission) will be the same at the next try.
_PASSING_ERRNOS = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ETIMEDOUT, errno.EROFS, errno.ENOTCONN, errno.EMFILE}
)
# Trials of one stage that may be lost in a row, with no epoch committed in between, before the stage is given up.
MAX_IDLE_LOSSES = 5
# Characters of a message that are kept; an exception may quote a whole tensor.
MAX_MESSAGE = 2_000


def classify(error: BaseException) -> Literal["user", "cluster"]:
    """Whose failure an exception in a trial is."""
    passing = isinstance(error, OSError) and error.errno in _PASSING_ERRNOS
    elsewhere = isinstance(error, ConnectionError) or type(error).__name__ == "EnvironmentMismatch"
    return "cluster" if passing or elsewhere else "user"


def describe(error: BaseException) -> dict[str, Any]:
    """A failure as it is stored and shown: whose, what kind, the message, and the traceback's last 20 lines."""
    kind = type(error).__name__
    if kind == "OutOfMemoryError" or isinstance(error, MemoryError):
        message = f"out of memory: {error}; lower batch_size or T, or give the trial a larger device"
    else:
        message = str(error) or kind
    lines = "".join(traceback.format_exception(error)).splitlines()
    trace = "\n".join(line[:MAX_MESSAGE] for line in lines[-20:])
    return {
        "class": classify(error),
        "kind": kind,
        "message": _storable(message[:MAX_MESSAGE]),
        "traceback": _storable(trace),
    }


def _storable(text: str) -> str:
    """Text that a file and a database take: neither lone surrogates (of a file's name, say) nor NUL."""
    return printable(text).replace("\x00", "\\x00")
