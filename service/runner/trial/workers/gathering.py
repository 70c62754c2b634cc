"""The gathering of a trial's workers: the first one, which is the trial, starts the others and connects to them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch.distributed import ProcessGroup

from service.failures import Failure, FailureType
from service.runner.diagnosis import WorkerFailed
from service.runner.trial.workers.crew import Crew
from service.runner.trial.workers.meeting import join_meeting, open_meeting
from service.runner.trial.workers.others import Others
from tet_core.errors import WorkersApartError


def _nothing() -> None:
    """Do nothing: a single worker has no other workers to check or to end."""


@dataclass(frozen=True)
class Gathered:
    """All workers of a trial.

    Attributes:
        group: Their process group; None for a single worker.
        check: Raises WorkersApartError if another worker has failed. Call it at every step, because not every step has
            a collective operation that would fail.
        end_others: Ends the other workers. If you leave the context before the stage has ended, call this first:
            otherwise the other workers wait for this one in a collective operation.
    """

    group: ProcessGroup | None = None
    check: Callable[[], None] = _nothing
    end_others: Callable[[], None] = _nothing


@contextmanager
def gather_workers(crew: Crew, say: Callable[[str], None]) -> Iterator[Gathered]:
    """Provide all workers within this context.

    Raises:
        WorkerFailed: Another worker has failed or was lost. Its failure is the trial's failure.
    """
    if crew.num == 1:
        yield Gathered()
        return
    others = Others(crew)
    try:
        others.start()
        meeting, store = open_meeting(crew.num, crew.backend, crew.timeout_s)
        others.send(meeting)
        with join_meeting(meeting, 0, store) as group:
            others.guard(group)
            say(f"{crew.num} workers have met at {meeting.host}:{meeting.port} ({meeting.backend})")
            try:
                yield Gathered(group, others.check, others.end)
            except BaseException as error:
                # The others wait for this worker in a collective operation: end them before the group.
                if not isinstance(error, WorkersApartError) and not others.have_failed:
                    others.end()
                raise
        others.finish()
    except WorkersApartError as error:
        failure = Failure.of(FailureType.NODE_LOST, str(error), kind=WorkersApartError.__name__)
        raise WorkerFailed(others.cause() or failure) from error
    except RuntimeError as error:  # on a GPU, from a failed collective operation, when its result is read
        if others.have_failed and (cause := others.cause()) is not None:
            raise WorkerFailed(cause) from error
        raise
    finally:
        others.end()
