"""Ships what is committed to MLflow, again and again until it is all there; training never waits for it.

Every call may be made twice: runs are found by tag, points carry the time of their commit, files replace files.
So what a killed driver had shipped or not does not matter; `shipped.json` in the stage folder only saves work.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mlflow.exceptions import MlflowException
from requests import RequestException

from service.events import MlflowExperimentFound, OutboxChanged, RunFound
from service.plan import Chain, StagePlan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.commits.best import best_commit
from service.runner.commits.reading import StageProgress
from service.runner.shipping import run_content as content
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.refusals import Refusals, is_refusal
from service.runner.shipping.shipped import Shipped
from service.states import WorkState
from service.storage import MODEL
from tet_core.config import RESULTS, TABLE

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0
# While MLflow does not answer it is asked again at this interval.
RETRY_INTERVAL_S = 5.0


class Outbox:
    """The thread that ships, and the wait for its end."""

    def __init__(
        self,
        experiment_id: str,
        ledger: Ledger,
        runs: MlflowRuns,
        events: EventFile,
        spec_file: Path,
        refusals: Refusals | None = None,
    ) -> None:
        self._experiment_id = experiment_id
        self._ledger = ledger
        self._runs = runs
        self._events = events
        self._spec_file = spec_file
        self._shipped = {stage: Shipped.read(ledger.progress(stage).folder) for stage in ledger.stages()}
        self._ended_chains: set[str] = set()
        # The runs that this driver has looked up, described and announced, since MLflow last failed.
        self._known: set[tuple[str, int | None]] = set()
        self._experiment_announced: str | None = None
        # None given: MLflow is asked again for ever.
        self._refusals = refusals or Refusals(float("inf"))
        self._last_said = (0, "")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to ship in the background."""
        self._thread.start()

    def finish(
        self, cancelled: threading.Event, give_up_after_s: float, given_up: Callable[[], bool] = lambda: False
    ) -> bool:
        """Ship until nothing is left, however long MLflow is away; not where it refuses for good, see `refusal`.

        Args:
            cancelled: once set, the wait is cut short.
            give_up_after_s: how long to go on trying once `cancelled` is set.
            given_up: whether it is somebody else's to ship now: then it is left to them.

        Returns:
            Whether everything is in MLflow.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        give_up_at = None
        while not given_up():
            error = self._try_ship()
            if error is None and self.pending() == 0:
                return True
            if self.refusal is not None:
                return False
            if cancelled.is_set():
                give_up_at = give_up_at or time.monotonic() + give_up_after_s
                if time.monotonic() > give_up_at:
                    return False
                time.sleep(POLL_INTERVAL_S)
            else:
                cancelled.wait(RETRY_INTERVAL_S if error else POLL_INTERVAL_S)
        return False

    @property
    def refusal(self) -> str | None:
        """What MLflow says where it has refused for so long that it will go on; None where it has not."""
        return self._last_said[1] if self._refusals.lasting else None

    def pending(self) -> int:
        """How many committed points MLflow has not got."""
        return sum(
            len(commit.metrics)
            for stage in self._ledger.stages()
            # What a trial commits that is late to hear of its stop is not waited for.
            if not self._shipped[stage].ended and stage.chain not in self._ended_chains
            for commit in self._ledger.progress(stage).commits
            if commit.epoch > self._shipped[stage].epoch
        )

    def kill_unfinished(self) -> None:
        """Close the runs of what was cancelled. MLflow may be away: then they stay open, which harms nothing."""
        now_ms = time.time_ns() // 1_000_000
        try:
            for chain in self._ledger.chains.values():
                if self._ledger.chain_state(chain) is not WorkState.RUNNING:
                    continue
                for stage in chain.stages:
                    progress = self._ledger.progress(StageId(chain.id, stage.index))
                    if progress.num_attempts and progress.done is None:
                        self._runs.end(self._stage_run(chain, stage, progress), "KILLED", now_ms)
                self._runs.end(self._chain_run(chain), "KILLED", now_ms)
        except (MlflowException, RequestException) as error:
            log.warning("cancelled runs stay open in MLflow: %s", error)

    # -- the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                error = self._try_ship()
            except Exception as exception:  # storage, say: `finish` meets it again, where it ends the driver
                log.exception("shipping failed; it is tried again")
                error = str(exception)
            self._stop.wait(RETRY_INTERVAL_S if error else POLL_INTERVAL_S)

    def _try_ship(self) -> str | None:
        """Ship all there is; what MLflow said if it failed."""
        error, refused = None, None
        try:
            self._ship()
        except (MlflowException, RequestException) as exception:
            error, refused = " ".join(str(exception).split())[:300], exception
            if not is_refusal(exception):  # it may have lost what it had: look everything up again
                self._runs.forget()
                self._known.clear()
            log.warning("MLflow did not take %d points: %s", self.pending(), error)
        self._say_pending(error or "")
        self._refusals.note(refused, sum(shipped.epoch + shipped.ended for shipped in self._shipped.values()))
        return error

    def _say_pending(self, error: str) -> None:
        said = (self.pending() if error else 0, error)
        if said != self._last_said:
            self._events.append(OutboxChanged(pending=said[0], error=error))
            self._last_said = said

    def _ship(self) -> None:
        experiment = self._runs.mlflow_experiment()
        if self._experiment_announced != experiment:
            self._events.append(MlflowExperimentFound(mlflow_experiment_id=experiment))
            self._experiment_announced = experiment
        refused: Exception | None = None
        for chain in self._ledger.chains.values():
            try:
                self._ship_chain(chain)
            except (MlflowException, RequestException) as error:
                if not is_refusal(error):
                    raise
                # What it refuses of one chain it may take of the others.
                self._forget(chain.id)
                refused = refused or error
        if refused is not None:
            raise refused

    def _forget(self, chain: str) -> None:
        """Look a chain's runs up again: it may be that another driver's stayed in place of ours."""
        self._runs.forget(chain)
        self._known = {known for known in self._known if known[0] != chain}

    def _ship_chain(self, chain: Chain) -> None:
        if chain.id in self._ended_chains:
            return
        # Asked first: what has ended by now is complete in the ledger.
        state = self._ledger.chain_state(chain)
        for stage in chain.stages:
            self._ship_stage(chain, stage)
        if state in (WorkState.SUCCEEDED, WorkState.FAILED, WorkState.STOPPED):
            self._end_chain(chain, state)
            self._ended_chains.add(chain.id)

    def _ship_stage(self, chain: Chain, stage: StagePlan) -> None:
        stage_id = StageId(chain.id, stage.index)
        shipped, progress = self._shipped[stage_id], self._ledger.progress(stage_id)
        if not (progress.started or progress.done):
            return
        if shipped.ended and (progress.done is None or progress.num_attempts != shipped.attempts):
            shipped = replace(shipped, ended=False)  # it failed, and the experiment was begun anew
        if shipped.ended and (chain.id, stage.index) in self._known:
            return
        run_id = self._stage_run(chain, stage, progress)
        if shipped.run_id != run_id:
            shipped = Shipped(run_id)
        if shipped.ended:
            return
        if progress.num_attempts != shipped.attempts and not progress.done:  # at the end they are set anyway
            self._runs.set_tags(run_id, content.progress_tags(progress))
        self._runs.log_metrics(run_id, content.points(c for c in progress.commits if c.epoch > shipped.epoch))
        if progress.done:
            self._ship_end(chain, stage, progress)
        last = progress.last.epoch if progress.last else 0
        now = Shipped(run_id, last, progress.num_attempts, progress.done is not None)
        if now != shipped:
            now.write(progress.folder)
            self._shipped[stage_id] = now

    def _ship_end(self, chain: Chain, stage: StagePlan, progress: StageProgress) -> None:
        assert progress.done is not None
        run_id = self._stage_run(chain, stage, progress)
        if progress.done.state == "succeeded":
            if stage.is_train:
                self._ship_files(run_id, chain, stage, progress)
            else:
                self._ship_results(run_id, progress.folder.attempt(progress.done.attempt))
        self._runs.set_tags(run_id, content.progress_tags(progress))
        self._runs.end(run_id, content.status(WorkState(progress.done.state)), progress.done.at_ms)

    def _ship_files(self, run_id: str, chain: Chain, stage: StagePlan, progress: StageProgress) -> None:
        assert progress.last is not None
        assert progress.done is not None
        best = progress.checkpoint(best_commit(progress.commits))
        self._upload_as(run_id, progress.checkpoint(progress.last), "last.pt")
        self._upload_as(run_id, best, f"{content.best_name(progress.commits)}.pt")
        self._runs.log_file(run_id, self._spec_file)
        self._runs.log_model(
            run_id,
            name=f"{chain.id}-{stage.index}",
            stage_key=content.stage_key(self._experiment_id, chain, stage),
            params=content.stage_params(stage),
            file=progress.folder.attempt(progress.done.attempt) / MODEL,
            step=progress.last.epoch,
        )

    def _ship_results(self, run_id: str, folder: Path) -> None:
        """An analysis's table and plot, which the attempt that ended it wrote."""
        for name in RESULTS:
            self._runs.log_file(run_id, folder / name)
        self._runs.log_file(run_id, self._spec_file)
        self._runs.set_tags(run_id, content.table_tags(TABLE))

    def _upload_as(self, run_id: str, file: Path, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).symlink_to(file)
            self._runs.log_file(run_id, Path(folder) / name, "checkpoints")

    def _end_chain(self, chain: Chain, state: WorkState) -> None:
        progresses = [self._ledger.progress(StageId(chain.id, stage.index)) for stage in chain.stages]
        ends = [progress.done.at_ms for progress in progresses if progress.done]
        if not ends:
            return  # stopped before it began
        run_id = self._chain_run(chain)
        trained = [progresses[stage.index] for stage in chain.train_stages]
        if state is WorkState.SUCCEEDED:
            self._runs.log_metrics(run_id, content.chain_points(trained))
        elif (stop := self._ledger.stop_of(chain)) is not None:
            self._runs.set_tags(run_id, content.stop_tags(stop.reason))
            self._runs.log_metrics(run_id, content.points_so_far(trained))
        self._runs.end(run_id, content.status(state), max(ends))

    # -- runs --------------------------------------------------------------------------------------------------

    def _chain_run(self, chain: Chain) -> str:
        first = self._ledger.progress(StageId(chain.id, 0))
        run_id = self._runs.run(
            chain.id, None, name=content.chain_name(chain), tags=content.chain_tags(chain), start_ms=_start_ms(first)
        )
        if (chain.id, None) not in self._known:
            self._runs.log_params(run_id, content.chain_params(chain))
            self._runs.log_file(run_id, self._spec_file)
            if self._ledger.chain_state(chain) in (WorkState.WAITING, WorkState.RUNNING):
                self._runs.reopen(run_id)
            self._announce(chain.id, None, run_id)
        return run_id

    def _stage_run(self, chain: Chain, stage: StagePlan, progress: StageProgress) -> str:
        parent = self._chain_run(chain)
        tags = content.stage_tags(self._experiment_id, chain, stage, parent)
        run_id = self._runs.run(
            chain.id, stage.index, name=content.stage_label(chain, stage), tags=tags, start_ms=_start_ms(progress)
        )
        if (chain.id, stage.index) not in self._known:
            self._describe_stage(run_id, stage, progress, tags)
            if progress.done is None:
                self._runs.reopen(run_id)
            self._announce(chain.id, stage.index, run_id)
        return run_id

    def _describe_stage(self, run_id: str, stage: StagePlan, progress: StageProgress, tags: dict[str, str]) -> None:
        self._runs.set_tags(run_id, tags)  # again: whoever made the run may have known another parent
        self._runs.log_params(run_id, content.stage_params(stage))
        if progress.started:
            data = progress.started[0].dataset
            self._runs.log_dataset(
                run_id, name=str(data["name"]), digest=str(data["digest"]), source=str(data["source"])
            )

    def _announce(self, chain: str, stage: int | None, run_id: str) -> None:
        self._events.append(RunFound(chain=chain, stage=stage, run_id=run_id))
        self._known.add((chain, stage))


def _start_ms(progress: StageProgress) -> int:
    return progress.started[0].at_ms if progress.started else time.time_ns() // 1_000_000
