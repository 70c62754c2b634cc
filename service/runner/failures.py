"""Which type of failure it is: of an exception in a trial, or of what Ray says of a trial that is gone."""

import errno
import re
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import URLError

from service.failures import FailureType, failure

# The ways in which shared storage, or the network, fails for a while. Anything else an OSError tells (no such file, no
# permission) will be the same at the next try.
_PASSING_ERRNOS = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ETIMEDOUT, errno.EROFS, errno.ENOTCONN, errno.EMFILE}
    | {errno.ENETUNREACH, errno.EHOSTUNREACH, socket.EAI_AGAIN}
)
# What Ray has ended a trial for, rather than what a trial has run into.
ENDED_FOR_MEMORY = "ray.exceptions.OutOfMemoryError"
# What is told as a RuntimeError where memory is short: by torch's CPU allocator, by C++, and by CUDA's libraries.
_NO_MEMORY = re.compile(r"can't allocate memory|bad_alloc|out of memory|_ALLOC_FAILED")


class StageFailed(Exception):  # noqa: N818 - named for what it says
    """A stage is ended by what this service itself found out of it."""

    def __init__(self, type_: FailureType, message: str) -> None:
        super().__init__(message)
        self.type = type_


class WorkerFailed(Exception):  # noqa: N818 - named for what it says
    """One of a trial's workers has failed or was lost; `failure` is of its own telling."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure["message"])
        self.failure = failure


def classify(error: BaseException) -> FailureType:
    """The type of an exception in a trial."""
    if isinstance(error, StageFailed):
        return error.type
    return next((type_ for type_, is_it in _TESTS.items() if is_it(error)), FailureType.ERROR)


def describe(error: BaseException) -> dict[str, Any]:
    """A failure of an exception in a trial."""
    if isinstance(error, WorkerFailed):
        return error.failure
    type_, name = classify(error), type(error).__name__
    message = str(error) or name
    if type_ is FailureType.STORAGE and (found := _passing(error)) is not None and str(found) not in message:
        message = f"{message} ({type(found).__name__}: {found})"
    if type_ is FailureType.OUT_OF_MEMORY:
        message = f"out of memory: {_first_line(message)}; lower batch_size or T, or give the trial a larger device"
    if isinstance(error, StageFailed):  # where it was found out is no news
        return failure(type_, message)
    return failure(type_, message, kind=name, trace="".join(traceback.format_exception(error)))


def lost(said: str, whose: str = "the trial's") -> dict[str, Any]:
    """The failure of a trial, or of one of its workers, that ended without a word of its own.

    Args:
        said: What Ray said of it, as Tune wrote it down; empty: nothing.
        whose: Process or node was lost, in the message.
    """
    if "running low on memory" in said:
        used = re.search(r"was ([\d.]+GB used / [\d.]+GB limit)", said)
        message = f"out of memory: Ray ended the trial, since its node was short of memory ({used[1] if used else '?'})"
        advice = "lower batch_size or T, run fewer trials a node (cpus_per_trial), or take larger nodes"
        return failure(FailureType.OUT_OF_MEMORY, f"{message}; {advice}", kind=ENDED_FOR_MEMORY, trace=said)
    return failure(FailureType.NODE_LOST, _lost_in_words(said, whose), trace=said)


def _lost_in_words(said: str, whose: str) -> str:
    if "its node has died" in said or "node died" in said.lower():
        return f"{whose} node was lost"
    if "is unavailable" in said:
        return f"{whose} node was lost, or cut off: it does not answer any more"
    if "creation task" in said:
        return f"{whose} process could not begin on its node: {_last_line(said)}"
    if "worker process has died" in said:
        detail = re.search(r"Worker exit detail: (.+?)\. ", said + " ")
        return f"{whose} process was lost: {detail[1]}" if detail else f"{whose} process was lost"
    return f"{whose} process or node was lost{': ' if said else ''}{_last_line(said)}"


def is_finding(failure: dict[str, Any], gpus_per_trial: float) -> bool:
    """Whether a failure says something of a configuration, which a search is to find out, and not of where it ran.

    Memory that does not suffice does where nobody shared it: neither on a part of a GPU, nor where Ray ended a trial
    since its node was short of it, which may have been the smallest there.
    """
    if failure["type"] == FailureType.OUT_OF_MEMORY:
        return failure["kind"] != ENDED_FOR_MEMORY and not 0 < gpus_per_trial < 1
    return failure["type"] in (FailureType.NOT_FINITE, FailureType.HEALTH)


def superseded() -> dict[str, Any]:
    """The end of a trial whose stage another driver's trial has taken over."""
    return failure(FailureType.NODE_LOST, "another attempt at the stage has taken over", kind="Superseded")


def _named(*names: str) -> Callable[[BaseException], bool]:
    """By the names of its classes: the driver looks at failures without loading torch."""
    return lambda error: any(cls.__name__ in names for cls in type(error).__mro__)


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or _named("OutOfMemoryError")(error):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def os_errors(error: BaseException | None) -> Iterator[OSError]:
    """Those that an exception is or came of, the outermost first."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, OSError):
            yield error
        reason = error.reason if isinstance(error, URLError) else None
        came_of = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        error = reason if isinstance(reason, BaseException) else came_of


def _passing(error: BaseException) -> OSError | None:
    """What of an exception is, or came of, a storage or a network that failed for a while."""
    # By class too: a socket's own timeout has no number.
    classes = (ConnectionError, TimeoutError)
    return next((e for e in os_errors(error) if isinstance(e, classes) or e.errno in _PASSING_ERRNOS), None)


# In this order: the first that holds decides.
_TESTS: dict[FailureType, Callable[[BaseException], bool]] = {
    FailureType.OUT_OF_MEMORY: _is_memory,
    FailureType.STORAGE: lambda error: _passing(error) is not None,
    FailureType.NOT_FINITE: lambda error: isinstance(error, FloatingPointError),
    FailureType.ENVIRONMENT: _named("EnvironmentMismatch", "WorkersDifferError"),
    # torch's own: what became of a sum on a GPU may be met by whoever reads it.
    FailureType.NODE_LOST: _named("WorkersApartError", "DistError"),
    FailureType.DATA: lambda error: isinstance(error, OSError) or _named("DataError")(error),
    # By the house's rule what was asked for and cannot be is a ValueError, which names field and value.
    FailureType.SPEC: lambda error: isinstance(error, ValueError),
}


def _first_line(text: str) -> str:
    return text.splitlines()[0].strip()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
