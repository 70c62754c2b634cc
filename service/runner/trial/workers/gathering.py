"""The gathering of a trial's workers: the first one, which is the trial itself, starts the others and meets them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch.distributed import ProcessGroup

from service.failures import Failure, FailureType
from service.runner.diagnosis import WorkerFailed
from service.runner.trial.workers.crew import Crew
from service.runner.trial.workers.meeting import called, joined
from service.runner.trial.workers.others import Others
from tet_core.errors import WorkersApartError


def _nothing() -> None:
    """Do nothing: a single worker has no others to look after."""


@dataclass(frozen=True)
class Gathered:
    """All workers of a trial.

    Attributes:
        group: Their process group; None for a single worker.
        check: To be called at every step. Raises WorkersApartError if another worker has failed: not all work is a sum
            in which it would be missed.
        dismiss: To be called by a caller that leaves before the stage's end: the others would wait for it in a sum.
    """

    group: ProcessGroup | None = None
    check: Callable[[], None] = _nothing
    dismiss: Callable[[], None] = _nothing


@contextmanager
def gather_workers(crew: Crew, say: Callable[[str], None]) -> Iterator[Gathered]:
    """Provide all workers within this context.

    Raises:
        WorkerFailed: Another worker has failed or was lost; its failure is the trial's.
    """
    if crew.num == 1:
        yield Gathered()
        return
    others = Others(crew)
    try:
        others.start()
        meeting, store = called(crew.num, crew.backend, crew.timeout_s)
        others.send(meeting)
        with joined(meeting, 0, store) as group:
            others.guard(group)
            say(f"{crew.num} workers have met at {meeting.host}:{meeting.port} ({meeting.backend})")
            try:
                yield Gathered(group, others.check, others.end)
            except BaseException as error:
                # The others wait in a sum that this worker does not reach: they are ended first, and then the group.
                if not isinstance(error, WorkersApartError) and not others.have_failed:
                    others.end()
                raise
        others.finish()
    except WorkersApartError as error:
        failure = Failure.of(FailureType.NODE_LOST, str(error), kind=WorkersApartError.__name__)
        raise WorkerFailed(others.cause() or failure) from error
    except RuntimeError as error:  # a broken sum on a GPU may surface where its result is read
        if others.have_failed and (cause := others.cause()) is not None:
            raise WorkerFailed(cause) from error
        raise
    finally:
        others.end()
