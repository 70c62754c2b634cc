"""The diagnosis of a failure: of an exception in a trial, or of a trial that Ray has lost.

The class of an exception says whose fault it is: `TYPE_OF_CLASS` has the type for each class. A few signs, such as a
lack of memory, decide before the class does. Any exception without an entry in `TYPE_OF_CLASS` has the type
`FailureType.ERROR`: an `EntryPointError`, which comes from the code of an installed package, or an exception that this
project did not foresee, such as a plain `ValueError`.
"""

import errno
import re
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import assert_never
from urllib.error import URLError

from service.errors import SpecInvalid
from service.failures import Failure, FailureType
from tet_core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    EntryPointError,
    EnvironmentMismatch,
    WorkersApartError,
    WorkersDifferError,
    is_of_machine,
    is_out_of_memory,
    is_torch_error,
)

# Temporary failures of shared storage or the network. Any other OSError (no such file, no permission) would occur again
# at the next try.
_TEMPORARY_ERRNOS = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ETIMEDOUT, errno.EROFS, errno.ENOTCONN, errno.EMFILE}
    | {errno.ENETUNREACH, errno.EHOSTUNREACH, socket.EAI_AGAIN}
)
# The `kind` of the failure if Ray ended a trial because its node was short of memory.
ENDED_FOR_MEMORY = "ray.exceptions.OutOfMemoryError"


class StageFailed(Exception):  # noqa: N818 - "Failed" is the clearer name
    """The end of a stage for a reason that this service found, such as an exceeded limit."""

    def __init__(self, type_: FailureType, message: str) -> None:
        super().__init__(message)
        self.type = type_


class WorkerFailed(Exception):  # noqa: N818 - "Failed" is the clearer name
    """The failure or the loss of one of a trial's workers."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def diagnose(error: BaseException) -> Failure:
    """Return the failure for an exception in a trial."""
    if isinstance(error, WorkerFailed):
        return error.failure
    type_ = failure_type(error)
    message = _message(error, type_)
    if isinstance(error, StageFailed):  # raised by the service on purpose: a traceback would not help
        return Failure.of(type_, message)
    # The exception of the package's author says more than the EntryPointError around it. Only the last lines of a
    # traceback are stored, and the lines of the EntryPointError would leave no room for those of the author.
    raised = error.__cause__ if isinstance(error, EntryPointError) and error.__cause__ is not None else error
    trace = "".join(traceback.format_exception(raised))
    return Failure.of(type_, message, kind=type(raised).__name__, trace=trace)


def _message(error: BaseException, type_: FailureType) -> str:
    message = str(error) or type(error).__name__
    if type_ is FailureType.STORAGE and (cause := _temporary(error)) is not None and str(cause) not in message:
        return f"{message} ({type(cause).__name__}: {cause})"
    if type_ is FailureType.OUT_OF_MEMORY:
        first_line = message.splitlines()[0].strip()
        return f"out of memory: {first_line}; lower batch_size or T, or give the trial a larger device"
    return message


def failure_type(error: BaseException) -> FailureType:
    """Return the type of an exception in a trial."""
    if isinstance(error, StageFailed):
        return error.type
    by_sign = (type_ for type_, has_sign in _SIGNS if has_sign(error))
    by_class = (TYPE_OF_CLASS[cls] for cls in type(error).__mro__ if cls in TYPE_OF_CLASS)
    return next(chain(by_sign, by_class), FailureType.ERROR)


def diagnose_lost(ray_text: str, whose: str = "the trial's") -> Failure:
    """Return the failure of a trial, or of one of its workers, that ended without reporting anything.

    This function decides by the words of Ray's text, because there is nothing else to decide by. Tune stores Ray's
    exception as text and as a pickle. The pickle is not loaded, because a pickle can run code. The class of the
    exception would not be enough either: Ray raises the same class for a lost process and for a lost node, and only the
    text differs.

    Args:
        ray_text: The text of Ray's exception; empty if there is none.
        whose: The owner of the process or node, as the message names it before the word "process" or "node".
    """
    if "running low on memory" in ray_text:
        used = re.search(r"was ([\d.]+GB used / [\d.]+GB limit)", ray_text)
        message = f"out of memory: Ray ended the trial, since its node was short of memory ({used[1] if used else '?'})"
        advice = "lower batch_size or T, run fewer trials a node (cpus_per_trial), or take larger nodes"
        return Failure.of(FailureType.OUT_OF_MEMORY, f"{message}; {advice}", kind=ENDED_FOR_MEMORY, trace=ray_text)
    return Failure.of(FailureType.NODE_LOST, _loss_in_words(ray_text, whose), trace=ray_text)


def _loss_in_words(ray_text: str, whose: str) -> str:
    if "its node has died" in ray_text or "node died" in ray_text.lower():
        return f"{whose} node was lost"
    if "is unavailable" in ray_text:
        return f"{whose} node was lost, or cut off: it does not answer any more"
    if "creation task" in ray_text:
        return f"{whose} process could not start on its node: {_last_line(ray_text)}"
    if "worker process has died" in ray_text:
        detail = re.search(r"Worker exit detail: (.+?)\. ", ray_text + " ")
        return f"{whose} process was lost: {detail[1]}" if detail else f"{whose} process was lost"
    return f"{whose} process or node was lost{': ' if ray_text else ''}{_last_line(ray_text)}"


def diagnose_superseded() -> Failure:
    """Return the failure of a trial whose stage was taken over by the trial of another driver."""
    return Failure.of(FailureType.NODE_LOST, "another attempt at the stage has taken over", kind="Superseded")


def is_of_configuration(failure: Failure, gpus_per_trial: float) -> bool:
    """Return whether a failure comes from a trial's configuration, and not from the place where it ran.

    A search learns from such a failure. A lack of memory counts only if the trial had its device to itself, so not on a
    part of a GPU. It does not count if Ray ended the trial because the node was short of memory, because another node
    may be larger.
    """
    match failure.type:
        case FailureType.NOT_FINITE | FailureType.HEALTH:
            return True
        case FailureType.OUT_OF_MEMORY:
            return failure.kind != ENDED_FOR_MEMORY and not 0 < gpus_per_trial < 1
        case FailureType.SPEC | FailureType.DATA | FailureType.MAX_TIME | FailureType.ERROR:
            return False
        case FailureType.STALLED | FailureType.NODE_LOST | FailureType.STORAGE | FailureType.ENVIRONMENT:
            return False
        case FailureType.ENGINE_LOST | FailureType.TRACKING:  # of an experiment, never of a trial
            return False
        case unknown:
            assert_never(unknown)


def hits_alike(failure: Failure) -> bool:
    """Return whether a failure at a stage's start hits every stage with the same settings, on a node of this kind.

    Such a failure comes from the spec, the data or the installed code. It does not come from random draws, or from the
    memory or the state of a node.
    """
    match failure.type:
        case FailureType.SPEC | FailureType.DATA | FailureType.ERROR:
            return True
        case FailureType.OUT_OF_MEMORY | FailureType.NOT_FINITE | FailureType.HEALTH | FailureType.MAX_TIME:
            return False
        case FailureType.STALLED | FailureType.NODE_LOST | FailureType.STORAGE | FailureType.ENVIRONMENT:
            return False
        case FailureType.ENGINE_LOST | FailureType.TRACKING:  # of an experiment, never of a trial
            return False
        case unknown:
            assert_never(unknown)


def is_caused_by_machine(error: BaseException) -> bool:
    """Return whether an unforeseen exception comes from the machine: from a GPU, a compiler, a disk.

    On another machine, or on another GPU of the same one, it might not occur. So it says nothing about other trials.
    """
    if failure_type(error) is not FailureType.ERROR:
        return False
    return any(isinstance(each, OSError) or is_of_machine(each) for each in _with_causes(error))


def os_errors(error: BaseException | None) -> Iterator[OSError]:
    """Yield every OSError among an exception and its causes, the outermost first."""
    return (each for each in _with_causes(error) if isinstance(each, OSError))


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes, the outermost first."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        reason = error.reason if isinstance(error, URLError) else None
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        error = reason if isinstance(reason, BaseException) else cause


def _temporary(error: BaseException) -> OSError | None:
    """Return the temporary failure of storage or network among an exception and its causes; None if there is none."""
    # The class is checked too, because a timeout of a socket has no errno.
    classes = (ConnectionError, TimeoutError)
    return next((e for e in os_errors(error) if isinstance(e, classes) or e.errno in _TEMPORARY_ERRNOS), None)


# Signs that decide before the class of an exception does: words, an error number, a cause, or the name of a class in
# torch. The first sign that fits decides.
_SIGNS: tuple[tuple[FailureType, Callable[[BaseException], bool]], ...] = (
    (FailureType.OUT_OF_MEMORY, is_out_of_memory),
    (FailureType.STORAGE, lambda error: _temporary(error) is not None),
    # On a GPU, a broken collective operation may surface where its result is read.
    (FailureType.NODE_LOST, lambda error: is_torch_error(error, "DistError")),
)
# The type of a failure by the class of its exception. The most specific class decides, so the order does not matter.
TYPE_OF_CLASS: Mapping[type[BaseException], FailureType] = {
    ConfigError: FailureType.SPEC,
    CheckpointError: FailureType.SPEC,
    SpecInvalid: FailureType.SPEC,
    DataError: FailureType.DATA,
    OSError: FailureType.DATA,
    FloatingPointError: FailureType.NOT_FINITE,
    EnvironmentMismatch: FailureType.ENVIRONMENT,
    WorkersDifferError: FailureType.ENVIRONMENT,
    WorkersApartError: FailureType.NODE_LOST,
}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
