"""The early ends of chains that cannot run: the check has found a failure that each of their trials would meet.

A chain ends as soon as no trial of it runs. Its first stage that cannot run is marked as failed, with that failure.
"""

import logging
import time
from collections.abc import Callable

from service.failures import Failure
from service.plan import Chain, StagePlan
from service.runner.chains.board import Answer, StageId
from service.runner.chains.bookkeeping import Bookkeeping
from service.runner.checking.condemnation import Condemnation
from service.runner.commits.attempt import Attempt, Superseded
from service.runner.diagnosis import hits_alike
from service.runner.tuning.fatal import or_die
from service.runner.tuning.search_turns import SearchTurns
from service.states import WorkState
from service.storage import ExperimentFolder

log = logging.getLogger(__name__)

# The time, in s, after which a call of `take` refuses no further stage: Tune does nothing else meanwhile.
TURN_S = 1.0


class EarlyEnds:
    """Ends the chains that the check condemns.

    Args:
        folder: The experiment's folder.
        books: The experiment's board, ledger and search.
        condemnation: The check's outcome.
        must_stop: Returns whether to start no more trials, and to end no more chains.
        clock: A monotonic clock, in s.
    """

    def __init__(
        self,
        folder: ExperimentFolder,
        books: Bookkeeping,
        condemnation: Condemnation,
        must_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._condemnation = folder, condemnation
        self._must_stop, self._clock = must_stop, clock
        self._board, self._ledger, self._study = books.board, books.ledger, books.study
        # The failure of each stage by arm, configuration and index: the seeds of a configuration fail alike.
        self._known: dict[tuple[str, int, int], Failure | None] = {}

    def end_waiting(self) -> None:
        """End the condemned chains of which no stage is taken from the board, until the driver must stop."""
        for chain in [*self._ledger.chains.values()]:
            if self._must_stop():
                return
            if not self._board.is_taken(chain.id):
                self.end(chain)

    def take(self, turns: SearchTurns) -> StageId | Answer:
        """Take the next stage that can run, and end the chains before it that cannot.

        Each refusal writes files, and a search may propose thousands of chains that cannot run. So return `WAIT` once
        `TURN_S` is over, although there may be more stages, and `FINISHED` once the driver must stop.
        """
        start = self._clock()
        while isinstance(stage := turns.take(), StageId):
            with or_die("the early end of a chain", stage):
                if not self.refuse(stage):
                    return stage
                turns.apply_decisions()
            if self._must_stop():
                self._board.close()
            elif self._clock() - start >= TURN_S:
                return Answer.WAIT
        return stage

    def refuse(self, stage_id: StageId) -> bool:
        """End the chain of a stage that was just taken from the board, if it is condemned; return whether it was."""
        if not self.end(self._ledger.chains[stage_id.chain]):
            return False
        self._board.lost(stage_id)
        return True

    def end(self, chain: Chain) -> bool:
        """End a chain, if it is condemned; return whether it has been ended."""
        stage_id = self.condemned_stage(chain)
        if stage_id is None or (failure := self._failure_of(chain, chain.stages[stage_id.index])) is None:
            return False
        mark_failed(self._folder, stage_id, self._ledger.generation, failure)
        self._ledger.refresh(stage_id)
        if not self._ledger.has_failed(chain):  # a newer driver has taken over
            return False
        self._board.fail(chain.id)
        self._study.drop(chain.id)
        self._ledger.announce(stage_id, WorkState.WAITING)
        self._ledger.announce_chain(chain)
        return True

    def condemned_stage(self, chain: Chain) -> StageId | None:
        """Return the first stage of a chain that has not ended and cannot run; None if there is none."""
        if not self._condemnation.condemns or not chain.proposed or self._ledger.has_failed(chain):
            return None
        for stage in chain.stages:
            stage_id = StageId(chain.id, stage.index)
            if self._ledger.progress(stage_id).done is None and self._failure_of(chain, stage) is not None:
                return stage_id
        return None

    def runs_elsewhere(self, stage_id: StageId, failure: Failure, host: str) -> bool:
        """Return whether a stage failed before it had started, and another node has found no fault in it.

        Args:
            stage_id: The stage.
            failure: The failure that its trial has reported.
            host: The host of that trial.
        """
        progress = self._ledger.progress(stage_id)
        if not hits_alike(failure) or any(each.attempt == progress.num_attempts for each in progress.started):
            return False
        self._condemnation.look(at_once=True)
        config = self._ledger.chains[stage_id.chain].stages[stage_id.index].config
        return self._condemnation.passes_elsewhere(config, host)

    def _failure_of(self, chain: Chain, stage: StagePlan) -> Failure | None:
        key = (chain.arm, chain.number, stage.index)
        if key not in self._known:
            self._known[key] = self._condemnation.failure_of(stage.config)
        return self._known[key]


def mark_failed(folder: ExperimentFolder, stage_id: StageId, generation: int, failure: Failure) -> None:
    """Mark a stage as failed, unless a trial of another driver has taken the stage over: that trial will end it."""
    try:
        attempt = Attempt(folder.stage(stage_id.chain, stage_id.index), generation)
        attempt.finish(state=WorkState.FAILED, at_ms=time.time_ns() // 1_000_000, failure=failure)
    except Superseded as error:
        log.warning("%s", error)
