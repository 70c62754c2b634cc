"""The shipper: it writes the commits of each chain to the chain's runs in MLflow.

Shipping twice changes nothing: runs are found by tag, points have the time of their commit, and a file replaces the
file with the same name. `shipped.json` in the stage folder only saves work.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from mlflow.exceptions import MlflowException
from requests import RequestException

from service.events import MlflowExperimentFound
from service.plan import Chain, StagePlan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.commits.best import best_commit
from service.runner.commits.reading import StageProgress
from service.runner.commits.records import EndState
from service.runner.shipping import run_content as content
from service.runner.shipping.described_experiment import DescribedExperiment
from service.runner.shipping.described_runs import DescribedRuns
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.refusals import is_refusal
from service.runner.shipping.shipped import Shipped
from service.states import WorkState
from service.storage import MODEL
from tet_core.config import RESULTS, TABLE


class Shipper:
    """Ships an experiment, and records how much of each stage was shipped.

    Args:
        experiment_id: The experiment's id.
        ledger: The committed state of all stages.
        runs: The experiment's runs in MLflow.
        described: The same runs, each described once.
        events: The event file, to which the MLflow experiment is announced.
        spec_file: The spec, which is attached to the runs of stages that succeed.
        page: The experiment's page in MLflow; None: there are only runs.
    """

    def __init__(
        self,
        experiment_id: str,
        ledger: Ledger,
        runs: MlflowRuns,
        described: DescribedRuns,
        events: EventFile,
        spec_file: Path,
        page: DescribedExperiment | None,
    ) -> None:
        self._page = page
        self._experiment_id, self._ledger, self._runs, self._described = experiment_id, ledger, runs, described
        self._events, self._spec_file = events, spec_file
        self._shipped = {stage: Shipped.read(ledger.progress(stage).folder) for stage in ledger.stages()}
        self._ended_chains: set[str] = set()
        self._announced: MlflowExperimentFound | None = None

    def pending(self) -> int:
        """Return how many committed points are not in MLflow."""
        return sum(
            len(commit.metrics)
            for stage in self._ledger.stages()
            # A trial may commit after its chain was stopped: do not wait for such points.
            if not self._shipped[stage].ended and stage.chain not in self._ended_chains
            for commit in self._ledger.progress(stage).commits
            if commit.epoch > self._shipped[stage].epoch
        )

    def num_shipped(self) -> int:
        """Return a number that grows whenever something is shipped."""
        return sum(shipped.epoch + shipped.ended for shipped in self._shipped.values())

    def forget(self) -> None:
        """Look up every run again when it is next needed."""
        self._runs.forget()
        self._described.forget()
        if self._page is not None:
            self._page.forget()

    def ship(self, *, is_last: bool) -> None:
        """Ship everything that is committed now.

        Args:
            is_last: Whether no more trials run.

        Raises:
            MlflowException, RequestException: MLflow did not answer, or refused something. A refusal for one chain is
                raised after the other chains were shipped.
        """
        experiment = self._runs.mlflow_experiment()
        view = None if self._page is None else self._page.ship_view()
        found = MlflowExperimentFound(mlflow_experiment_id=experiment, view=view)
        if self._announced != found:
            self._events.append(found)
            self._announced = found
        refused: Exception | None = None
        for chain in self._ledger.chains.values():
            try:
                self._ship_chain(chain)
            except (MlflowException, RequestException) as error:
                if not is_refusal(error):
                    raise
                # Runs of another driver may have replaced ours: look up this chain's runs again.
                self._runs.forget(chain.id)
                self._described.forget(chain.id)
                refused = refused or error
        if self._page is not None:
            num_ended = len(self._ended_chains)
            self._page.describe(num_ended, is_last=is_last or num_ended == len(self._ledger.chains))
        if refused is not None:
            raise refused

    def kill_unfinished(self) -> None:
        """Close the runs of cancelled chains.

        Raises:
            MlflowException, RequestException: MLflow did not answer, or refused.
        """
        now_ms = time.time_ns() // 1_000_000
        for chain in self._ledger.chains.values():
            if self._ledger.chain_state(chain) is not WorkState.RUNNING:
                continue
            for stage in chain.stages:
                progress = self._ledger.progress(StageId(chain.id, stage.index))
                if progress.num_attempts and progress.done is None:
                    self._runs.end(self._described.of_stage(chain, stage, progress), "KILLED", now_ms)
            self._runs.end(self._described.of_chain(chain), "KILLED", now_ms)

    def _ship_chain(self, chain: Chain) -> None:
        if chain.id in self._ended_chains:
            return
        # Read before the stages are shipped: if the chain has ended, the ledger has all of its commits.
        state = self._ledger.chain_state(chain)
        for stage in chain.stages:
            self._ship_stage(chain, stage)
        match state:
            case WorkState.SUCCEEDED | WorkState.FAILED | WorkState.STOPPED:
                self._end_chain(chain, state)
                self._ended_chains.add(chain.id)
            case WorkState.WAITING | WorkState.RUNNING | WorkState.CANCELLED:
                pass
            case _:
                assert_never(state)

    def _ship_stage(self, chain: Chain, stage: StagePlan) -> None:
        stage_id = StageId(chain.id, stage.index)
        shipped, progress = self._shipped[stage_id], self._ledger.progress(stage_id)
        if not (progress.started or progress.done):
            return
        if shipped.ended and (progress.done is None or progress.num_attempts != shipped.attempts):
            shipped = replace(shipped, ended=False)  # the stage had failed, and the experiment was retried
        if shipped.ended and self._described.knows(chain, stage):
            return
        run_id = self._described.of_stage(chain, stage, progress)
        if shipped.run_id != run_id:
            shipped = Shipped(run_id)
        now = self._ship_curve(chain, stage, progress, shipped)
        if not shipped.ended:
            self._ship_points(chain, stage, progress, shipped)
            last = progress.last.epoch if progress.last else 0
            now = replace(now, epoch=last, attempts=progress.num_attempts, ended=progress.done is not None)
        if now != shipped:
            now.write(progress.folder)
            self._shipped[stage_id] = now

    def _ship_points(self, chain: Chain, stage: StagePlan, progress: StageProgress, shipped: Shipped) -> None:
        if progress.num_attempts != shipped.attempts and not progress.done:  # at the end the tags are set anyway
            self._runs.set_tags(shipped.run_id, content.progress_tags(progress))
        new = (commit for commit in progress.commits if commit.epoch > shipped.epoch)
        self._runs.log_metrics(shipped.run_id, content.points(new))
        if progress.done:
            self._ship_end(chain, stage, progress)

    def _ship_curve(self, chain: Chain, stage: StagePlan, progress: StageProgress, shipped: Shipped) -> Shipped:
        """Ship a stage's part of the curves of its chain's run; return the record with what was shipped.

        Records of earlier versions have no curves, so their curves are shipped here, ended or not.
        """
        run_id = self._described.of_chain(chain)
        if shipped.chain_run_id != run_id:
            shipped = replace(shipped, chain_run_id=run_id, curve=0)
        self._runs.log_metrics(run_id, content.curve_points(chain, stage, progress, shipped.curve))
        epochs = [commit.epoch for commit in content.commits_on_curve(chain, stage, progress)]
        return replace(shipped, curve=max([shipped.curve, *epochs[-1:]]))

    def _ship_end(self, chain: Chain, stage: StagePlan, progress: StageProgress) -> None:
        assert progress.done is not None
        run_id = self._described.of_stage(chain, stage, progress)
        if progress.done.state is WorkState.SUCCEEDED:
            if stage.is_train:
                self._ship_files(run_id, chain, stage, progress)
            else:
                self._ship_results(run_id, progress.folder.attempt(progress.done.attempt))
        self._runs.set_tags(run_id, content.progress_tags(progress))
        self._runs.end(run_id, content.run_status(progress.done.state), progress.done.at_ms)

    def _ship_files(self, run_id: str, chain: Chain, stage: StagePlan, progress: StageProgress) -> None:
        assert progress.last is not None
        assert progress.done is not None
        best = progress.checkpoint(best_commit(progress.commits))
        self._upload_as(run_id, progress.checkpoint(progress.last), "last.pt")
        self._upload_as(run_id, best, f"{content.best_name(progress.commits)}.pt")
        self._runs.log_file(run_id, self._spec_file)
        self._runs.log_model(
            run_id,
            name=content.model_name(chain, stage),
            stage_key=content.stage_key(self._experiment_id, chain, stage),
            params=content.stage_params(stage),
            file=progress.folder.attempt(progress.done.attempt) / MODEL,
            step=progress.last.epoch,
        )

    def _ship_results(self, run_id: str, folder: Path) -> None:
        """Upload the table and the plot of an analysis, from the folder of the attempt that ended it."""
        for name in RESULTS:
            self._runs.log_file(run_id, folder / name)
        self._runs.log_file(run_id, self._spec_file)
        self._runs.set_tags(run_id, content.table_tags(TABLE))

    def _upload_as(self, run_id: str, file: Path, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).symlink_to(file)
            self._runs.log_file(run_id, Path(folder) / name, "checkpoints")

    def _end_chain(self, chain: Chain, state: EndState) -> None:
        progresses = [self._ledger.progress(StageId(chain.id, stage.index)) for stage in chain.stages]
        ends = [progress.done.at_ms for progress in progresses if progress.done]
        if not ends:
            return  # stopped before it started
        run_id = self._described.of_chain(chain)
        trained = [progresses[stage.index] for stage in chain.train_stages]
        if state is WorkState.SUCCEEDED:
            self._runs.log_metrics(run_id, content.chain_points(trained))
            self._runs.set_tags(run_id, content.chance_tags(trained[-1]))
        elif (stop := self._ledger.stop_of(chain)) is not None:
            self._runs.set_tags(run_id, content.stop_tags(stop.reason))
            self._runs.log_metrics(run_id, content.points_so_far(trained))
        self._runs.end(run_id, content.run_status(state), max(ends))
