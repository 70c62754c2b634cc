"""What the driver knows of every stage, read from storage; and each change of it, said once as an event."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite

from service.events import AnyEvent, ChainChanged, ChainConfigured, StageChanged
from service.failures import Failure
from service.plan import Chain
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.commits.reading import StageProgress, read_commits, read_progress, read_started
from service.runner.commits.records import Done
from service.states import WorkState
from service.storage import ExperimentFolder


@dataclass(frozen=True)
class Stop:
    """When and why a search has stopped a chain.

    `failure` says so of one whose network has broken down, or that of the same configuration's at another seed.
    """

    at_ms: int
    reason: str
    failure: Failure | None = None


class Ledger:
    """The committed progress of all stages. The outbox reads it from another thread."""

    def __init__(
        self, folder: ExperimentFolder, chains: Iterable[Chain], events: EventFile, generation: int = 1
    ) -> None:
        """Read everything that earlier drivers' trials committed, as the experiment's `generation` sees it."""
        self.generation = generation
        self.chains = {chain.id: chain for chain in chains}
        self._folder = folder
        self._events = events
        self._lock = threading.Lock()
        self._stops: dict[str, Stop] = {}
        self._progress = {
            stage: read_progress(folder.stage(stage.chain, stage.index), generation) for stage in self.stages()
        }

    def stages(self) -> list[StageId]:
        """Every stage of the experiment."""
        return [StageId(chain.id, stage.index) for chain in self.chains.values() for stage in chain.stages]

    def progress(self, stage: StageId) -> StageProgress:
        """What was last read of a stage; where a search has stopped it, that is its end."""
        with self._lock:
            known, stop = self._progress[stage], self._stops.get(stage.chain)
        # A network may break down while another seed's last epoch is made its end: the stop came first.
        ended_before = known.done is not None and stop is not None and known.done.at_ms <= stop.at_ms
        if stop is None or ended_before or not known.num_attempts:
            return known
        return replace(known, done=Done(state="stopped", attempt=known.num_attempts, at_ms=stop.at_ms))

    def refresh(self, stage: StageId) -> StageProgress:
        """Read what has been committed since."""
        with self._lock:
            known = self._progress[stage]
        ended = known.done is None and known.folder.done(self.generation).exists()
        fresh = read_progress(known.folder, self.generation) if ended else self._grown(known)
        with self._lock:
            self._progress[stage] = fresh
        return self.progress(stage)

    def settle(self, chain: Chain) -> None:
        """A search has proposed the chain's hyperparameters: it and its stages are now as they will be run."""
        self.chains[chain.id] = chain
        self._events.append(
            ChainConfigured(
                chain=chain.id,
                hyperparameters=dict(chain.hyperparameters),
                stages=[{"T": stage.config.T, "epochs": stage.config.epochs} for stage in chain.stages],
            )
        )

    def stop(self, chain: str, stop: Stop) -> None:
        """A search has stopped the chain, unless that has ended already."""
        with self._lock:
            self._stops[chain] = stop

    def stop_of(self, chain: Chain) -> Stop | None:
        """When and why a search has stopped the chain; None where that goes on, or had ended before."""
        return self._stops.get(chain.id) if self.chain_state(chain) is WorkState.STOPPED else None

    @staticmethod
    def _grown(known: StageProgress) -> StageProgress:
        newest = known.last.epoch if known.last else 0
        commits = (*known.commits, *read_commits(known.folder, after=newest))
        started, num_attempts = tuple(read_started(known.folder)), len(known.folder.attempt_numbers())
        return replace(known, commits=commits, started=started, num_attempts=num_attempts)

    def done_stages(self, chain: Chain) -> int:
        """How many stages of a chain have ended well, in a row from its first."""
        ends = (self.progress(StageId(chain.id, stage.index)).done for stage in chain.stages)
        count = 0
        for done in ends:
            if done is None or done.state != "succeeded":
                break
            count += 1
        return count

    def failed(self, chain: Chain) -> bool:
        """Whether a stage of the chain has ended badly."""
        ends = (self.progress(StageId(chain.id, stage.index)).done for stage in chain.stages)
        return any(done is not None and done.state == "failed" for done in ends)

    def failure(self, chain: Chain) -> Failure | None:
        """Why the chain has failed: the failure of its first stage that has ended badly."""
        ends = (self.progress(StageId(chain.id, stage.index)).done for stage in chain.stages)
        return next((done.failure for done in ends if done is not None and done.state == "failed"), None)

    # -- events ------------------------------------------------------------------------------------------------

    def announce_all(self) -> None:
        """Say how far everything is that has begun: what a killed driver may have left unsaid."""
        for stage in self.stages():
            if self.progress(stage).num_attempts or stage.chain in self._stops:
                self.announce(stage, WorkState.WAITING)
        for chain in self.chains.values():
            self.announce_chain(chain)

    def announce(self, stage: StageId, state: WorkState) -> None:
        """Say how far a stage is; `state` counts only where it has no end."""
        self.refresh(stage)
        self._events.append(self.stage_event(stage, state))

    def announce_chain(self, chain: Chain) -> None:
        """Say where a chain stands, if it has begun."""
        state = self.chain_state(chain)
        if state is not WorkState.WAITING:
            stop = self._stops.get(chain.id) if state is WorkState.STOPPED else None
            self._events.append(ChainChanged(chain=chain.id, state=state, reason=stop.reason if stop else ""))

    def chain_state(self, chain: Chain) -> WorkState:
        """A chain's state by what is committed."""
        if self.failed(chain):
            return WorkState.FAILED
        if self.done_stages(chain) == len(chain.stages):
            return WorkState.SUCCEEDED
        if chain.id in self._stops:
            return WorkState.STOPPED
        begun = any(self.progress(StageId(chain.id, stage.index)).num_attempts for stage in chain.stages)
        return WorkState.RUNNING if begun else WorkState.WAITING

    def stage_event(self, stage: StageId, state: WorkState) -> AnyEvent:
        """How far a stage is, as an event; `state` counts only where it has no end."""
        progress = self.progress(stage)
        last = progress.last
        if progress.done is not None:
            state = WorkState(progress.done.state)
        elif self.chain_state(self.chains[stage.chain]) is WorkState.STOPPED:
            state = WorkState.STOPPED
        return StageChanged(
            chain=stage.chain,
            stage=stage.index,
            state=state,
            epoch=last.epoch if last else 0,
            # JSON has no word for infinity; whatever else a metric that is not finite may be, it is no progress.
            metrics={key: value for key, value in last.metrics.items() if isfinite(value)} if last else {},
            train_time_s=progress.train_time_s,
            initial_sha256=progress.started[0].initial_sha256 if progress.started else None,
            weights_sha256=last.weights_sha256 if last else None,
            attempts=progress.num_attempts,
            failure=progress.done.failure if progress.done else None,
        )
