"""The ends of trials: the new state of each stage, and the failure of stages whose trials were lost too often."""

import logging
from collections.abc import Callable
from typing import Any, assert_never

from service.failures import Failure
from service.runner.chains.board import StageId
from service.runner.chains.bookkeeping import Bookkeeping
from service.runner.commits.records import EndState
from service.runner.diagnosis import diagnose_lost, diagnose_superseded, is_of_configuration
from service.runner.shipping.run_content import stage_label
from service.runner.tuning.assignment import Assignment, Stopping
from service.runner.tuning.early_ends import EarlyEnds, mark_failed
from service.runner.tuning.search_turns import SearchTurns
from service.runner.tuning.watchdog import Watchdog
from service.states import WorkState

log = logging.getLogger(__name__)

# Tune's key for the host in a trial's report.
HOSTNAME = "hostname"


class Endings:
    """Records the end of each trial in the books.

    Args:
        assignment: The driver's experiment.
        books: The experiment's board, ledger and search.
        turns: The search's decisions.
        stopping: Says whether trials end because the driver stops.
        watchdog: Says which trials it has ended, and why.
        early_ends: Ends chains that cannot run.
        ray_text: Returns Ray's text about the newest trial of a stage; empty if there is none.
    """

    def __init__(
        self,
        assignment: Assignment,
        books: Bookkeeping,
        turns: SearchTurns,
        stopping: Stopping,
        watchdog: Watchdog,
        early_ends: EarlyEnds,
        ray_text: Callable[[StageId], str],
    ) -> None:
        self._assignment, self._spec = assignment, assignment.spec
        self._board, self._ledger = books.board, books.ledger
        self._study, self._referee, self._costs = books.study, books.referee, books.costs
        self._turns, self._stopping, self._watchdog, self._ray_text = turns, stopping, watchdog, ray_text
        self._early_ends = early_ends
        # For each stage: the number of trials lost in a row, and the newest committed epoch at the last loss.
        self._losses: dict[StageId, tuple[int, int]] = {}

    def record(self, stage_id: StageId, result: dict[str, Any] | None) -> None:
        """Record that a trial has ended. Only what it has committed on storage counts.

        Args:
            stage_id: The trial's stage.
            result: The trial's last report; None if the trial was lost.
        """
        self._stopping.window.ended(stage_id)
        watchdog_failure = self._watchdog.ended(stage_id)
        is_stopping = self._stopping.has_begun
        if is_stopping:
            self._board.close()
        chain = self._ledger.chains[stage_id.chain]
        progress = self._ledger.refresh(stage_id)
        ended_by_decision = self._turns.was_ended(stage_id)
        if progress.done is None and not is_stopping:
            has_reported = result is not None and result.get("failure")
            if not has_reported and self._early_ends.end(chain):
                log.info("%s: its chain cannot run", self._label(stage_id))
            elif not ended_by_decision:
                host = "" if result is None else result.get(HOSTNAME, "")
                self._on_loss(stage_id, watchdog_failure or self._diagnose(stage_id, result), host)
            progress = self._ledger.refresh(stage_id)
        state = None if progress.done is None else progress.done.state
        self._put_back(stage_id, state, is_stopping=is_stopping)
        self._turns.apply_decisions()
        self._ledger.announce(stage_id, WorkState.WAITING)
        self._ledger.announce_chain(chain)
        log.info("%s: trial ended, stage %s", self._label(stage_id), state or "open")

    def _label(self, stage_id: StageId) -> str:
        chain = self._ledger.chains[stage_id.chain]
        return stage_label(chain, chain.stages[stage_id.index])

    def _put_back(self, stage_id: StageId, state: EndState | None, *, is_stopping: bool) -> None:
        """Tell the board the state of a stage after its trial has ended."""
        match state:
            case WorkState.SUCCEEDED:
                self._costs.ended(stage_id)
                self._board.succeeded(stage_id)
                self._referee.chain_ended(self._ledger.chains[stage_id.chain])
            case WorkState.FAILED:
                self._board.failed_for_good(stage_id)
                self._study.drop(stage_id.chain)
            case WorkState.STOPPED | None:
                # The trial may have been lost after a commit and before its report. The study has not judged it then.
                if not is_stopping:
                    self._turns.consult(stage_id)
                self._board.lost(stage_id)
            case _:
                assert_never(state)

    def _diagnose(self, stage_id: StageId, result: dict[str, Any] | None) -> Failure:
        """Return why a trial ended before its stage did."""
        if result is None:
            return diagnose_lost(self._ray_text(stage_id))
        if result.get("failure"):
            return Failure.model_validate_json(result["failure"])
        return diagnose_superseded()

    def _on_loss(self, stage_id: StageId, failure: Failure, host: str) -> None:
        """Mark a stage as failed, unless it is retried.

        Args:
            stage_id: The stage.
            failure: The failure of its trial.
            host: The host of its trial; empty if it is not known.
        """
        losses = self._count_loss(stage_id)
        log.warning("%s: %s: %s", self._label(stage_id), failure.type, failure.message)
        gpus = self._spec.resources.gpus_per_trial
        if is_of_configuration(failure, gpus) and self._study.break_down(stage_id, failure):
            return
        match failure.whose:
            case "user":
                is_retried = self._early_ends.runs_elsewhere(stage_id, failure, host)
            case "cluster":
                is_retried = True
            case _:
                assert_never(failure.whose)
        max_losses = self._spec.limits.max_losses
        if is_retried and losses < max_losses:
            return
        if is_retried:
            failure = failure.with_message(f"{failure.message} {losses_in_words(losses, max_losses)}")
        mark_failed(self._assignment.folder, stage_id, self._ledger.generation, failure)

    def _count_loss(self, stage_id: StageId) -> int:
        """Count a loss; return how many trials of the stage were lost in a row, with no epoch committed in between."""
        last = self._ledger.progress(stage_id).last
        epoch = last.epoch if last else 0
        losses, epoch_then = self._losses.get(stage_id, (0, -1))
        losses = losses + 1 if epoch == epoch_then else 1
        self._losses[stage_id] = (losses, epoch)
        return losses


def losses_in_words(losses: int, max_losses: int) -> str:
    """Return the end of the message about a stage whose trials were lost too often."""
    times = "once" if losses == 1 else f"{losses} times in a row, with no epoch committed in between"
    return f"({times}; limits.max_losses is {max_losses})"
