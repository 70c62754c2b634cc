"""The turns of a search and of the referee: their decisions, applied to the board and to Tune's trials."""

from typing import Any

from service.runner.chains.board import Answer, StageId
from service.runner.chains.bookkeeping import Bookkeeping
from service.runner.chains.study import ChainVerdict
from service.runner.trial.config import stage_of
from service.runner.tuning.fatal import or_die
from service.runner.tuning.scheduler import PatientScheduler
from service.states import WorkState


class SearchTurns:
    """Asks the study about each chain after each commit, and applies its decisions and those of the referee.

    Args:
        books: The experiment's board, ledger, search and referee.
    """

    def __init__(self, books: Bookkeeping) -> None:
        self._board, self._ledger = books.board, books.ledger
        self._study, self._referee = books.study, books.referee
        # Stages whose trial the search is ending.
        self._ended: set[StageId] = set()
        # Chains that were stopped since the last `withdraw`: their trials may still wait for a process.
        self._stopped: set[str] = set()

    def take(self) -> StageId | Answer:
        """Take the next stage from the board. A search that learns proposes the configuration only now."""
        while isinstance(stage := self._board.take(), StageId):
            with or_die("a proposal for a trial", stage):
                if self._study.ensure_proposed(stage.chain):
                    return stage
            self.apply_decisions()
            self._board.lost(stage)
        return stage

    def goes_on(self, trial: dict[str, Any], result: dict[str, Any]) -> bool:
        """Return whether a trial continues after a commit.

        Args:
            trial: The trial's configuration.
            result: The trial's report. It is not used: only commits count.
        """
        stage_id = stage_of(trial)
        with or_die("the decision on a trial", stage_id):
            self._ledger.refresh(stage_id)
            verdict = self.consult(stage_id)
        match verdict:
            case ChainVerdict.GO_ON:
                return True
            case ChainVerdict.WAIT | ChainVerdict.STOP:
                self._ended.add(stage_id)
                return False

    def consult(self, stage_id: StageId) -> ChainVerdict:
        """Let the study judge a chain by its commits, apply the decisions, and return the verdict."""
        verdict = self._study.verdict_on(stage_id)
        # Apply the decisions first: a decision about this rung may release the chain, and the chain may then have to
        # wait at the next rung.
        self.apply_decisions()
        if self._ledger.stop_of(self._ledger.chains[stage_id.chain]) is not None:
            return ChainVerdict.STOP  # also if the referee has stopped it
        if verdict is ChainVerdict.WAIT:
            self._board.hold(stage_id.chain)
        return verdict

    def apply_decisions(self) -> None:
        """Apply the new decisions of the study and the referee about all chains."""
        for consequence in [*self._study.take_consequences(), *self._referee.take_consequences()]:
            for chain in consequence.chains:
                if consequence.goes_on:
                    self._board.release(chain.id)
                else:
                    self._stop(chain.id)

    def _stop(self, chain_id: str) -> None:
        self._board.stop(chain_id)
        self._stopped.add(chain_id)
        chain = self._ledger.chains[chain_id]
        for stage in chain.stages:
            self._ledger.announce(StageId(chain_id, stage.index), WorkState.STOPPED)
        self._ledger.announce_chain(chain)

    def withdraw(self, scheduler: PatientScheduler) -> None:
        """End the waiting trials of stopped chains."""
        while self._stopped:  # the end of a trial may stop other chains
            stopped, self._stopped = self._stopped, set()

            def is_wanted(trial: dict[str, Any], stopped: set[str] = stopped) -> bool:
                stage_id = stage_of(trial)
                if stage_id.chain not in stopped:
                    return True
                self._ended.add(stage_id)
                return False

            scheduler.withdraw(is_wanted)

    def was_ended(self, stage_id: StageId) -> bool:
        """Return whether a decision ended the trial that has just ended, and forget it."""
        was_ended = stage_id in self._ended
        self._ended.discard(stage_id)
        return was_ended
