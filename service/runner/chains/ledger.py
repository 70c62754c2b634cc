"""The ledger: the committed state of every stage, read from storage. It announces each change as an event."""

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from math import isfinite

from service.curves import as_text
from service.events import ChainChanged, ChainConfigured, StageChanged, StageCurved
from service.failures import Failure
from service.plan import Chain
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.commits.reading import StageProgress, read_commits, read_progress, read_started
from service.runner.commits.records import Done
from service.states import DONE, WorkState
from service.storage import ExperimentFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChainStop:
    """The stop of a chain: its time, in ms since 1970, and its reason.

    `failure` is set if a network of the same configuration broke down, at this seed or another one. `is_needless`: the
    arms were decided without the chain; otherwise a search has stopped its configuration.
    """

    at_ms: int
    reason: str
    failure: Failure | None = None
    is_needless: bool = False


class Ledger:
    """The committed progress of all stages. The outbox reads it in another thread."""

    def __init__(
        self, folder: ExperimentFolder, chains: Iterable[Chain], events: EventFile, generation: int = 1
    ) -> None:
        """Read everything that is committed, as the experiment's `generation` sees it."""
        self.generation = generation
        self.chains = {chain.id: chain for chain in chains}
        self._folder = folder
        self._events = events
        self._lock = threading.Lock()
        self._stops: dict[str, ChainStop] = {}
        # Why ended stages have no curves.
        self._curve_errors: dict[StageId, str] = {}
        self._progress = {
            stage: read_progress(folder.stage(stage.chain, stage.index), generation) for stage in self.stages()
        }

    def stages(self) -> list[StageId]:
        """Return every stage of the experiment."""
        return [StageId(chain.id, stage.index) for chain in self.chains.values() for stage in chain.stages]

    def progress(self, stage: StageId) -> StageProgress:
        """Return the state of a stage as it was last read. It is `STOPPED` if its chain was stopped before its end."""
        with self._lock:
            known, stop = self._progress[stage], self._stops.get(stage.chain)
        # A stage may commit its last epoch while the network of another seed breaks down. If the stop is older than the
        # stage's end, the stage counts as stopped.
        ended_before = known.done is not None and stop is not None and known.done.at_ms <= stop.at_ms
        if stop is None or ended_before or not known.num_attempts:
            return known
        return replace(known, done=Done(state=WorkState.STOPPED, attempt=known.num_attempts, at_ms=stop.at_ms))

    def refresh(self, stage: StageId) -> StageProgress:
        """Read a stage again and return its state."""
        with self._lock:
            known = self._progress[stage]
        ended = known.done is None and known.folder.done(self.generation).exists()
        fresh = read_progress(known.folder, self.generation) if ended else self._grown(known)
        with self._lock:
            self._progress[stage] = fresh
        return self.progress(stage)

    def set_proposed(self, chain: Chain) -> None:
        """Replace a chain by the same chain with the values that the search has proposed for it."""
        self.chains[chain.id] = chain
        self._events.append(
            ChainConfigured(
                chain=chain.id,
                hyperparameters=dict(chain.hyperparameters),
                stages=[{"T": stage.T, "epochs": stage.epochs} for stage in chain.stages],
            )
        )

    def record_stop(self, chain: str, stop: ChainStop) -> None:
        """Note that a chain was stopped. If the chain had already ended, its end does not change."""
        with self._lock:
            self._stops[chain] = stop

    def stop_of(self, chain: Chain) -> ChainStop | None:
        """Return when and why the chain was stopped; None if the chain continues, or had ended before."""
        return self._stops.get(chain.id) if self.chain_state(chain) is WorkState.STOPPED else None

    @staticmethod
    def _grown(known: StageProgress) -> StageProgress:
        newest = known.last.epoch if known.last else 0
        commits = (*known.commits, *read_commits(known.folder, after=newest))
        started, num_attempts = tuple(read_started(known.folder)), len(known.folder.attempt_numbers())
        return replace(known, commits=commits, started=started, num_attempts=num_attempts)

    def done_stages(self, chain: Chain) -> int:
        """Return how many stages of a chain have succeeded, counted from the first one up to the first that has not."""
        succeeded = takewhile(lambda done: done is not None and done.state is WorkState.SUCCEEDED, self._ends(chain))
        return sum(1 for _ in succeeded)

    def has_failed(self, chain: Chain) -> bool:
        """Return whether a stage of the chain has failed."""
        return any(done is not None and done.state is WorkState.FAILED for done in self._ends(chain))

    def failure(self, chain: Chain) -> Failure | None:
        """Return the failure of the chain's first failed stage."""
        failed = (done for done in self._ends(chain) if done is not None and done.state is WorkState.FAILED)
        return next((done.failure for done in failed), None)

    def _ends(self, chain: Chain) -> Iterator[Done | None]:
        """Yield the end of each stage of a chain; None if the stage has not ended."""
        return (self.progress(StageId(chain.id, stage.index)).done for stage in chain.stages)

    def curve_errors(self) -> list[str]:
        """Return why ended stages have no curves, a text for each such stage."""
        return [error for error in self._curve_errors.values() if error]

    # -- events ------------------------------------------------------------------------------------------------

    def announce_all(self) -> None:
        """Announce everything that has started, because a killed driver may not have announced it."""
        for stage in self.stages():
            if self.progress(stage).num_attempts or stage.chain in self._stops:
                self.announce(stage, WorkState.WAITING)
        for chain in self.chains.values():
            self.announce_chain(chain)

    def announce(self, stage: StageId, state: WorkState) -> None:
        """Read and announce how far a stage is. `state` is its state if it has not ended."""
        self.refresh(stage)
        event = self.stage_event(stage, state)
        if event.state in DONE and event.epoch:  # first, so that the reader of the end has the curves too
            self._events.append(self._curves(stage))
        self._events.append(event)

    def _curves(self, stage: StageId) -> StageCurved:
        """Return the curves of a stage as an event. An error is part of the event: it must not stop an experiment."""
        kind = self.chains[stage.chain].stages[stage.index].kind
        curves, error = None, ""
        try:
            progress = self.progress(stage)
            curves = as_text(kind, progress.commits, progress.folder)
        except Exception as problem:  # whatever it is
            log.exception("%s: its curves cannot be computed", stage)
            error = f"{type(problem).__name__}: {problem}"
        self._curve_errors[stage] = error
        return StageCurved(chain=stage.chain, stage=stage.index, curves=curves, error=error)

    def announce_chain(self, chain: Chain) -> None:
        """Announce the state of a chain, if it has started."""
        state = self.chain_state(chain)
        if state is not WorkState.WAITING:
            stop = self._stops.get(chain.id) if state is WorkState.STOPPED else None
            self._events.append(ChainChanged(chain=chain.id, state=state, reason=stop.reason if stop else ""))

    def chain_state(self, chain: Chain) -> WorkState:
        """Return a chain's committed state."""
        if self.has_failed(chain):
            return WorkState.FAILED
        if self.done_stages(chain) == len(chain.stages):
            return WorkState.SUCCEEDED
        if chain.id in self._stops:
            return WorkState.STOPPED
        has_started = any(self.progress(StageId(chain.id, stage.index)).num_attempts for stage in chain.stages)
        return WorkState.RUNNING if has_started else WorkState.WAITING

    def stage_event(self, stage: StageId, state: WorkState) -> StageChanged:
        """Return how far a stage is, as an event. `state` is its state if it has not ended."""
        progress = self.progress(stage)
        last = progress.last
        if progress.done is not None:
            state = progress.done.state
        elif self.chain_state(self.chains[stage.chain]) is WorkState.STOPPED:
            state = WorkState.STOPPED
        return StageChanged(
            chain=stage.chain,
            stage=stage.index,
            state=state,
            epoch=last.epoch if last else 0,
            # JSON has no word for infinity, and a metric that is not finite shows no progress.
            metrics={key: value for key, value in last.metrics.items() if isfinite(value)} if last else {},
            train_time_s=progress.train_time_s,
            initial_sha256=progress.started[0].initial_sha256 if progress.started else None,
            weights_sha256=last.weights_sha256 if last else None,
            attempts=progress.num_attempts,
            failure=progress.done.failure if progress.done else None,
            test_set=progress.test_set,
        )
