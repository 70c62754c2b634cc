"""A trial's workers, as the first of them sees them, which is the trial itself.

The others are actors in the other bundles of the trial's placement group, so Ray ends them with the trial, however it
ends. A thread waits for them beside the training: where one of them fails or is lost, the first one is in the middle
of a sum that will never be complete, and has to be got out of it.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch.distributed import DistBackendError, DistNetworkError, DistStoreError, ProcessGroup

from service.failures import Failure, FailureType
from service.runner.diagnosis import WorkerFailed, diagnose_lost
from service.runner.trial.config import TrialConfig
from service.runner.trial.workers.meeting import called, joined
from service.runner.trial.workers.worker import Worker
from service.spec.blocks import Limits
from tet_core.distributed import WorkersApartError

# How often, s, the thread looks whether it is to end.
LOOK_S = 1.0
# A network can fail long before Ray tells why: a process's end takes it a moment, a node's half a minute or so.
CAUSE_S = 15.0
# Who does not come out of a sum within so many seconds after it was broken off is ended, with its process.
# Long enough for a commit on a slow storage, which is worth waiting for.
GRACE_S = 60.0
# The others end by themselves behind the last epoch.
END_S = 30.0
# A silent partner is the watchdog's business (limits.stall_s). This is for whoever it does not see: it has to be longer
# than the first worker takes to commit an epoch on a slow storage.
TIMEOUT_FACTOR, LEAST_TIMEOUT_S, NO_TIMEOUT_S = 2.0, 600.0, 7 * 86_400.0

KIND = WorkersApartError.__name__
# What a worker fails of where another one has.
_CONSEQUENCES = {each.__name__ for each in (WorkersApartError, DistBackendError, DistNetworkError, DistStoreError)}


@dataclass(frozen=True)
class Crew:
    """What is to be gathered.

    Attributes:
        label: The trial's.
        num: How many workers, the first one counted.
        demand: What each is given, by the names of Ray's resources.
        config: The stage's, as plain values.
        data_root: Where the data sets lie.
        stall_s: The spec's limit.
    """

    label: str
    num: int
    demand: Mapping[str, float]
    config: dict[str, Any]
    data_root: str | None
    stall_s: float | None

    @classmethod
    def of(cls, trial: TrialConfig) -> "Crew":
        """That of a trial."""
        stall_s = Limits.model_validate(trial.limits).stall_s
        return cls(trial.label, trial.num_workers, trial.demand, trial.config, trial.data_root, stall_s)

    @property
    def backend(self) -> str:
        """What they talk over."""
        return "nccl" if self.config.get("device") == "cuda" else "gloo"

    @property
    def timeout_s(self) -> float:
        """How long one waits for another."""
        return NO_TIMEOUT_S if self.stall_s is None else max(LEAST_TIMEOUT_S, TIMEOUT_FACTOR * self.stall_s)


def _nobody() -> None:
    """What who is alone has to look at."""


@dataclass(frozen=True)
class Gathered:
    """All workers of a trial.

    Attributes:
        group: Theirs; None where there is one alone.
        check: To be called at every step. Raises WorkersApartError where one of the others has failed: not all work is
            a sum in which it would be missed.
        dismiss: To be called by whoever leaves before the stage's end: the others would wait for it in a sum.
    """

    group: ProcessGroup | None = None
    check: Callable[[], None] = _nobody
    dismiss: Callable[[], None] = _nobody


@contextmanager
def gathered(crew: Crew, say: Callable[[str], None]) -> Iterator[Gathered]:
    """All workers, at work within this context.

    Raises:
        WorkerFailed: One of the others has failed, or was lost; then its failure is the trial's.
    """
    if crew.num == 1:
        yield Gathered()
        return
    others = _Others(crew)
    try:
        others.start()
        meeting, store = called(crew.num, crew.backend, crew.timeout_s)
        others.send(meeting)
        with joined(meeting, 0, store) as group:
            others.watch(group)
            say(f"{crew.num} workers have met at {meeting.host}:{meeting.port} ({meeting.backend})")
            try:
                yield Gathered(group, others.check, others.end)
            except BaseException as error:
                # The others wait in a sum that this one will not come to: they go first, and then the group.
                if not isinstance(error, WorkersApartError) and not others.have_failed:
                    others.end()
                raise
        others.finish()
    except WorkersApartError as error:
        raise WorkerFailed(others.cause() or Failure.of(FailureType.NODE_LOST, str(error), kind=KIND)) from error
    except RuntimeError as error:  # a sum on a GPU that was broken off may be met by whoever reads what came of it
        if others.have_failed and (cause := others.cause()) is not None:
            raise WorkerFailed(cause) from error
        raise
    finally:
        others.end()


class _Others:
    """The workers beside the first one."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._actors: list[Any] = []
        self._tasks: dict[Any, int] = {}
        self._failures: list[tuple[int, Failure]] = []
        # The first worker is out of all sums; the cause of its coming out is known, or will never be; it is all over.
        self._out, self._known, self._over = threading.Event(), threading.Event(), threading.Event()
        self._group: ProcessGroup | None = None
        self._stepped_at: float | None = None
        self._watcher = threading.Thread(target=self._watch, name="workers", daemon=True)

    def start(self) -> None:
        """Start their processes."""
        placement = ray.util.get_current_placement_group()
        assert placement is not None, "whoever runs several workers is given a placement group"
        demand = dict(self._crew.demand)
        options = {"num_cpus": demand.pop("CPU"), "num_gpus": demand.pop("GPU", 0), "resources": demand}
        actor = ray.remote(Worker)
        for rank in range(1, self._crew.num):
            strategy = PlacementGroupSchedulingStrategy(placement, placement_group_bundle_index=rank)
            label = f"{self._crew.label}, worker {rank} of {self._crew.num}"
            self._actors.append(actor.options(scheduling_strategy=strategy, **options).remote(label, rank))
        for rank, each in enumerate(self._actors, 1):
            try:
                ray.get(each.start.remote())
            except ray.exceptions.RayError as error:
                raise WorkerFailed(self._told(rank, diagnose_lost(str(error), "its"))) from error

    def send(self, meeting: Any) -> None:
        """Send them to the meeting; from now on their ends are watched."""
        crew = self._crew
        for rank, each in enumerate(self._actors, 1):
            self._tasks[each.train.remote(meeting, crew.config, crew.data_root)] = rank
        self._watcher.start()

    def watch(self, group: ProcessGroup) -> None:
        """Break off this group's sums where one of them fails."""
        self._group = group
        if self._failures:  # between the meeting and now
            self._break_off()

    def check(self) -> None:
        """Take note of a step, and leave what is being done where one of them has failed."""
        self._stepped_at = time.monotonic()
        if self._failures:
            raise WorkersApartError("another worker has failed")

    def finish(self) -> None:
        """Wait for them at the end of the stage, for a while."""
        self._watcher.join(END_S)

    @property
    def have_failed(self) -> bool:
        """Whether one of them has ended before its time."""
        return bool(self._failures)

    def cause(self) -> Failure | None:
        """The failure of the worker that the others have lost; None if nobody tells."""
        self._out.set()
        self._known.wait(CAUSE_S)
        known = [self._told(rank, told) for rank, told in self._failures if not _is_consequence(told)]
        return known[0] if known else None

    def end(self) -> None:
        """End their processes, whatever they are at."""
        self._out.set()
        self._over.set()
        self._kill_all()

    def _kill_all(self) -> None:
        for each in self._actors:
            _kill(each)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        left = dict(self._tasks)
        while left and not self._known.is_set() and not self._over.is_set():
            for task in ray.wait([*left], num_returns=1, timeout=LOOK_S)[0]:
                self._ended(left.pop(task), task)
        self._known.set()

    def _ended(self, rank: int, task: Any) -> None:
        try:
            told = ray.get(task)
        except ray.exceptions.RayError as error:
            told = diagnose_lost(str(error), "its")
        if told is None:
            return
        self._failures.append((rank, told))
        # Gloo notices where a connection ends, and nothing short of a process's end is sure to end one. Of who has only
        # lost another, Ray has still to tell whom: what is killed from here could not be told from that.
        if _is_consequence(told):
            _kill(self._actors[rank - 1])
        else:
            self._known.set()
            self._kill_all()
        if len(self._failures) == 1 and not self._out.is_set():
            self._break_off()

    def _break_off(self) -> None:
        """Get the first worker out of a sum in which one of the others is missed."""
        if self._group is not None and self._crew.backend == "nccl":
            with suppress(Exception):
                self._group.abort()
        threading.Thread(target=self._end_process, name="workers-grace", daemon=True).start()

    def _end_process(self) -> None:
        # Before its first step it loads data, for as long as that takes, and then comes to a sum.
        if not self._out.wait(GRACE_S if self._stepped_at is not None else self._crew.timeout_s):
            rank, told = self._failures[0]
            text = f"{self._crew.label}: worker {rank} has failed, and this one hangs: {told.message}"
            print(text, file=sys.stderr, flush=True)
            os._exit(1)

    def _told(self, rank: int, told: Failure) -> Failure:
        return told.with_message(f"worker {rank} of {self._crew.num}: {told.message}")


def _kill(actor: Any) -> None:
    with suppress(Exception):
        ray.kill(actor)


def _is_consequence(told: Failure) -> bool:
    """Whether a worker failed of another's failure alone."""
    return told.kind in _CONSEQUENCES
