"""The diagnosis of a failure: of an exception in a trial, or of a trial that Ray has lost.

An exception says by its class whose fault it is. A `ConfigError` or a `DataError` is the user's. An `EntryPointError`
comes from the code of an installed package. Any other `ValueError` is a fault of this project, like any other
exception that was not foreseen.
"""

import errno
import re
import socket
import traceback
from collections.abc import Callable, Iterator
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
    is_out_of_memory,
    is_torch_error,
)

# The ways in which shared storage, or the network, fails for a while. Any other OSError (no such file, no permission)
# comes again at the next try.
_PASSING_ERRNOS = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ETIMEDOUT, errno.EROFS, errno.ENOTCONN, errno.EMFILE}
    | {errno.ENETUNREACH, errno.EHOSTUNREACH, socket.EAI_AGAIN}
)
# The `kind` of a failure where Ray ended a trial because its node was short of memory.
ENDED_FOR_MEMORY = "ray.exceptions.OutOfMemoryError"


class StageFailed(Exception):  # noqa: N818 - named for what it says
    """The end of a stage for a reason that this service found, such as a limit."""

    def __init__(self, type_: FailureType, message: str) -> None:
        super().__init__(message)
        self.type = type_


class WorkerFailed(Exception):  # noqa: N818 - named for what it says
    """The failure, or the loss, of one of a trial's workers."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def diagnose(error: BaseException) -> Failure:
    """Return the failure that an exception in a trial stands for."""
    if isinstance(error, WorkerFailed):
        return error.failure
    type_ = failure_type(error)
    message = _message(error, type_)
    if isinstance(error, StageFailed):  # the service raised it on purpose: a traceback would say nothing
        return Failure.of(type_, message)
    # The author's own exception says more than its wrapper, whose lines would push it out of the stored traceback.
    raised = error.__cause__ if isinstance(error, EntryPointError) and error.__cause__ is not None else error
    trace = "".join(traceback.format_exception(raised))
    return Failure.of(type_, message, kind=type(raised).__name__, trace=trace)


def _message(error: BaseException, type_: FailureType) -> str:
    message = str(error) or type(error).__name__
    if type_ is FailureType.STORAGE and (found := _passing(error)) is not None and str(found) not in message:
        return f"{message} ({type(found).__name__}: {found})"
    if type_ is FailureType.OUT_OF_MEMORY:
        first_line = message.splitlines()[0].strip()
        return f"out of memory: {first_line}; lower batch_size or T, or give the trial a larger device"
    return message


def failure_type(error: BaseException) -> FailureType:
    """Return the type of an exception in a trial."""
    if isinstance(error, StageFailed):
        return error.type
    return next((type_ for type_, is_it in _TESTS.items() if is_it(error)), FailureType.ERROR)


def diagnose_lost(ray_text: str, whose: str = "the trial's") -> Failure:
    """Return the failure of a trial, or of one of its workers, that ended without reporting anything.

    This is the one place that decides by a text. Tune keeps Ray's exception in two forms: its text, and a pickle on the
    shared storage, which is not loaded because a pickle can run code. A type would not be enough either: Ray raises one
    exception for a lost process and for a lost node, and only its text tells them apart.

    Args:
        ray_text: The text of Ray's exception; empty where there is none.
        whose: Whose process or node was lost, for the message.
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

    A search learns from such a failure. A lack of memory counts only if the trial had its device to itself: not on a
    part of a GPU, and not where Ray ended the trial because its node was short of memory, since another node may be
    larger.
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


def os_errors(error: BaseException | None) -> Iterator[OSError]:
    """Yield every OSError among an exception and its causes, the outermost first."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, OSError):
            yield error
        reason = error.reason if isinstance(error, URLError) else None
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        error = reason if isinstance(reason, BaseException) else cause


def _passing(error: BaseException) -> OSError | None:
    """Return the failure of storage or network that an exception is or came from, if it is one that passes."""
    # By class too: a timeout of a socket has no errno.
    classes = (ConnectionError, TimeoutError)
    return next((e for e in os_errors(error) if isinstance(e, classes) or e.errno in _PASSING_ERRNOS), None)


def _is_lost_worker(error: BaseException) -> bool:
    # The second is torch's: on a GPU, a broken sum may surface where its result is read.
    return isinstance(error, WorkersApartError) or is_torch_error(error, "DistError")


# In this order: the first that holds decides.
_TESTS: dict[FailureType, Callable[[BaseException], bool]] = {
    FailureType.OUT_OF_MEMORY: is_out_of_memory,
    FailureType.STORAGE: lambda error: _passing(error) is not None,
    FailureType.NOT_FINITE: lambda error: isinstance(error, FloatingPointError),
    FailureType.ENVIRONMENT: lambda error: isinstance(error, EnvironmentMismatch | WorkersDifferError),
    FailureType.NODE_LOST: _is_lost_worker,
    FailureType.DATA: lambda error: isinstance(error, OSError | DataError),
    FailureType.SPEC: lambda error: isinstance(error, ConfigError | CheckpointError | SpecInvalid),
}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
