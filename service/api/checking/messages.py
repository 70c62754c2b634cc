"""The messages between the API and the process that checks documents for it. The length of each comes before it."""

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any

from service.errors import TetError

HEADER = struct.Struct("!Q")
# The first message of a process: it has imported what its jobs need.
READY = b"ready"


class JobVerdict(Enum):
    """How a job has ended."""

    DONE = "done"
    REFUSED = "refused"
    TOO_MUCH_MEMORY = "too much memory"
    TOO_SLOW = "too slow"
    BROKEN = "broken"


@dataclass(frozen=True)
class JobEnd:
    """The end of a job: its value, the error that it raised on purpose, or the words of another error."""

    verdict: JobVerdict
    value: Any = None
    error: TetError | None = None
    words: str = ""


def read_message(file: IO[bytes]) -> bytes | None:
    """Return the next message; None at the end."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (size,) = HEADER.unpack(header)
    message = file.read(size)
    return message if len(message) == size else None


def write_message(file: IO[bytes], message: bytes) -> None:
    """Write a message."""
    file.write(HEADER.pack(len(message)))
    file.write(message)
    file.flush()


def pickled_job(function: Callable[..., Any], *arguments: Any) -> bytes:
    """Return a job: a function of a module that the process can import, and its arguments."""
    return pickle.dumps((function, arguments))
