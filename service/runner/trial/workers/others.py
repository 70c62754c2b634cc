"""The other workers of a trial, as its first worker starts and watches them.

They are actors in the other bundles of the trial's placement group, so Ray ends them with the trial. A thread waits for
them during the training. If one of them fails or is lost, the first worker may be in a collective operation that will
never be complete, and the thread has to abort it.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch.distributed import DistBackendError, DistNetworkError, DistStoreError, ProcessGroup

from service.failures import Failure
from service.runner.diagnosis import WorkerFailed, diagnose_lost
from service.runner.trial.workers.crew import Crew
from service.runner.trial.workers.meeting import Meeting
from service.runner.trial.workers.worker import Worker
from tet_core.errors import WorkersApartError

# The longest time, in s, until the thread notices that it has to end.
LOOK_S = 1.0
# The longest wait, in s, for the cause of a failure: a connection fails before Ray knows why. Ray needs a moment to
# notice the end of a process, and about half a minute to notice the end of a node.
CAUSE_S = 15.0
# The time, in s, in which the first worker may leave an aborted collective operation. After this time, its process
# exits. The time is long enough for a commit to a slow storage.
GRACE_S = 60.0
# The time, in s, in which the other workers may end by themselves after the last epoch.
END_S = 30.0

# The names of the exceptions of a worker whose connection to another worker has failed.
_CONSEQUENCES = {each.__name__ for each in (WorkersApartError, DistBackendError, DistNetworkError, DistStoreError)}


class Others:
    """The workers other than the first one.

    Args:
        crew: All workers of the trial.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._actors: list[Any] = []
        self._tasks: dict[Any, int] = {}
        # The reported failures in order, each with the worker's rank.
        self._failures: list[tuple[int, Failure]] = []
        # Set when the first worker has left all collective operations.
        self._out = threading.Event()
        # Set when the cause of a failure is known, or can no longer become known.
        self._known = threading.Event()
        # Set by `end`.
        self._over = threading.Event()
        self._group: ProcessGroup | None = None
        self._stepped_at: float | None = None
        self._watcher = threading.Thread(target=self._watch, name="workers", daemon=True)

    def start(self) -> None:
        """Start the processes of these workers.

        Raises:
            WorkerFailed: One of these workers could not start.
        """
        placement = ray.util.get_current_placement_group()
        assert placement is not None, "a trial of several workers has a placement group"
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
                raise WorkerFailed(self._named(rank, diagnose_lost(str(error), "its"))) from error

    def send(self, meeting: Meeting) -> None:
        """Start the training of these workers, and watch from now on whether they end."""
        crew = self._crew
        for rank, each in enumerate(self._actors, 1):
            self._tasks[each.train.remote(meeting, crew.config, crew.data_root)] = rank
        self._watcher.start()

    def guard(self, group: ProcessGroup) -> None:
        """From now on, abort the collective operations of this group if one of these workers fails."""
        self._group = group
        if self._failures:  # a worker has failed since the meeting
            self._abort()

    def check(self) -> None:
        """Note a step of the first worker.

        Raises:
            WorkersApartError: One of these workers has failed.
        """
        self._stepped_at = time.monotonic()
        if self._failures:
            raise WorkersApartError("another worker has failed")

    def finish(self) -> None:
        """Wait at the end of the stage until these workers have ended, for a limited time."""
        self._watcher.join(END_S)

    @property
    def have_failed(self) -> bool:
        """Whether one of these workers has failed."""
        return bool(self._failures)

    def cause(self) -> Failure | None:
        """Return the first failure that is not the consequence of another one; None if it is not known in time."""
        self._out.set()
        self._known.wait(CAUSE_S)
        known = [self._named(rank, failure) for rank, failure in self._failures if not _is_consequence(failure)]
        return known[0] if known else None

    def end(self) -> None:
        """End the processes of these workers, even if they do not answer."""
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
                self._on_end(left.pop(task), task)
        self._known.set()

    def _on_end(self, rank: int, task: Any) -> None:
        try:
            failure: Failure | None = ray.get(task)
        except ray.exceptions.RayError as error:
            failure = diagnose_lost(str(error), "its")
        if failure is None:
            return
        self._failures.append((rank, failure))
        # Gloo notices only closed connections, and only the end of a process is sure to close them. If this worker
        # failed because it lost another one, Ray has not reported yet which one. Then do not kill the rest: a worker
        # that is killed looks like a worker that was lost.
        if _is_consequence(failure):
            _kill(self._actors[rank - 1])
        else:
            self._known.set()
            self._kill_all()
        if len(self._failures) == 1 and not self._out.is_set():
            self._abort()

    def _abort(self) -> None:
        """Abort a collective operation of the first worker in which another worker is missing."""
        if self._group is not None and self._crew.backend == "nccl":
            with suppress(Exception):
                self._group.abort()
        threading.Thread(target=self._end_process, name="workers-grace", daemon=True).start()

    def _end_process(self) -> None:
        # Before its first step the first worker loads data, which may take longer than GRACE_S.
        if not self._out.wait(GRACE_S if self._stepped_at is not None else self._crew.timeout_s):
            rank, failure = self._failures[0]
            text = f"{self._crew.label}: worker {rank} failed and the first worker hangs: {failure.message}"
            print(text, file=sys.stderr, flush=True)
            os._exit(1)

    def _named(self, rank: int, failure: Failure) -> Failure:
        return failure.with_message(f"worker {rank} of {self._crew.num}: {failure.message}")


def _kill(actor: Any) -> None:
    with suppress(Exception):
        ray.kill(actor)


def _is_consequence(failure: Failure) -> bool:
    """Return whether a worker failed only because another worker failed."""
    return failure.kind in _CONSEQUENCES
