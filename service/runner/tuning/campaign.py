"""The campaign of one driver: a Tuner that runs the stages of the board as trials."""

import logging
import os
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from ray.tune.experiment import Trial

from service.plan import previous_stage
from service.runner.chains.board import StageId
from service.runner.chains.bookkeeping import Bookkeeping
from service.runner.checking.condemnation import Condemnation
from service.runner.checking.second_opinion import another_node_asked
from service.runner.commits.reading import spent_s
from service.runner.connection import connect_to_ray
from service.runner.shipping.run_content import stage_label
from service.runner.trial.config import TrialConfig, stage_of
from service.runner.trial.trainable import StageTrial
from service.runner.tuning import room
from service.runner.tuning.assignment import Assignment, Stopping
from service.runner.tuning.early_ends import EarlyEnds
from service.runner.tuning.endings import Endings
from service.runner.tuning.fatal import or_die
from service.runner.tuning.process_reuse import ProcessReuse
from service.runner.tuning.progress_lines import ProgressLines
from service.runner.tuning.scheduler import PatientScheduler
from service.runner.tuning.search_turns import SearchTurns
from service.runner.tuning.searcher import ChainSearcher
from service.runner.tuning.stop_window import WindowStopper
from service.runner.tuning.task_names import forget_names, name_steps
from service.runner.tuning.watchdog import Watchdog, kill
from service.spec.search import ENERGY
from service.states import WorkState

# The interval, in s, at which Tune writes a snapshot of all trials. The service never restores snapshots. They grow
# with each trial, on disk and in memory. They cannot be switched off, so the interval is longer than any experiment.
NO_SNAPSHOT_S = 10**9
# The number of trials that Tune may hold ready. The searcher offers no more trials than fit into the cluster.
NO_LIMIT_PENDING = 10**6


class Campaign:
    """The trials of one driver.

    Args:
        assignment: The experiment to run.
        books: The experiment's board, ledger and search.
        stopping: The reasons to start no more trials.
        trainable: The class that runs a stage. Its configuration is a `TrialConfig` as a dictionary.
    """

    def __init__(
        self,
        assignment: Assignment,
        books: Bookkeeping,
        stopping: Stopping,
        trainable: type[tune.Trainable] = StageTrial,
    ) -> None:
        self._assignment, self._spec = assignment, assignment.spec
        self._books, self._ledger = books, books.ledger
        self._stopping, self._trainable = stopping, trainable
        self._watchdog = Watchdog(self._spec.limits)
        self._reuse = ProcessReuse(self._spec.resources, books)
        self._lines = ProgressLines(self._ledger, self._spec.search)
        self._turns = SearchTurns(books)
        self._scheduler = PatientScheduler(self._turns.goes_on)
        ask_another = another_node_asked(self._spec.resources, assignment.data_root, lambda: stopping.has_begun)
        generation, chains = self._ledger.generation, self._ledger.chains
        self._condemnation = Condemnation(assignment.folder, generation, chains.values, ask_another)
        self._early_ends = EarlyEnds(assignment.folder, books, self._condemnation, lambda: stopping.has_begun)
        self._endings = Endings(
            assignment, books, self._turns, stopping, self._watchdog, self._early_ends, self._ray_text
        )
        self._has_ended_early = False
        # How many workers of trials fit into the cluster, and when to look at its size again.
        self._num_places, self._next_look = 1, 0.0
        # Tune's list of its trials, from the last round.
        self._trials: list[Any] = []

    def run(self) -> None:
        """Run trials until the board has no stage left, or the experiment is stopped."""
        connect_to_ray()
        self._look_at_cluster()
        self._end_early()  # an earlier driver may have made the check
        if self._books.board.over:
            ray.shutdown()
            return
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(NO_LIMIT_PENDING))
        os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(NO_SNAPSHOT_S))
        tuner = tune.Tuner(self._trainable, tune_config=self._tune_config(), run_config=self._run_config())
        # At its end, Tune looks for the files of loggers that the service does not use, and warns for each trial.
        logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            tuner.fit()
        ray.shutdown()

    def _tune_config(self) -> TuneConfig:
        return TuneConfig(
            search_alg=ChainSearcher(
                partial(self._early_ends.take, self._turns), self._trial_config, self._on_end, lambda: self._num_places
            ),
            scheduler=self._scheduler,
            num_samples=-1,
            reuse_actors=self._reuse.is_possible,
            trial_name_creator=lambda trial: trial.config["label"],
            trial_dirname_creator=lambda trial: trial.trial_id,
        )

    def _run_config(self) -> RunConfig:
        return RunConfig(
            name=f"{self._assignment.attempt:04d}",
            storage_path=str(self._assignment.folder.path / "tune"),
            stop=WindowStopper(self._stopping.window, self._stopping.takeover.has_come),
            callbacks=[_Watcher(self)],
            failure_config=FailureConfig(max_failures=0),
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        )

    def _look_at_cluster(self) -> None:
        """Set from the cluster's size how many trials may run, and how many configurations may be open."""
        self._num_places = room.num_places(self._spec.resources)
        num_slots = self._num_places // self._spec.resources.workers_per_trial
        self._next_look = time.monotonic() + room.LOOK_S
        self._books.order.num_slots = num_slots
        self._books.board.limit_open(room.max_open(self._spec, num_slots))

    def _trial_config(self, stage_id: StageId) -> dict[str, Any]:
        chain = self._ledger.chains[stage_id.chain]
        stage = chain.stages[stage_id.index]
        folder, data_root = self._assignment.folder, self._assignment.data_root
        previous = previous_stage(folder, chain, stage.index)
        return TrialConfig(
            experiment_id=self._assignment.experiment_id,
            chain_id=chain.id,
            label=stage_label(chain, stage),
            arm=chain.arm,
            seed=chain.seed,
            stage_index=stage.index,
            stage_path=str(folder.stage(chain.id, stage.index).path),
            previous_stage_path=None if previous is None else str(previous.path),
            kind=stage.kind,
            config=stage.config.model_dump(mode="json"),
            data_root=None if data_root is None else str(data_root),
            demand=self._spec.resources.demand(),
            num_workers=self._spec.resources.workers_per_trial if stage.is_train else 1,
            generation=self._ledger.generation,
            limits=self._spec.limits.model_dump(mode="json"),
            with_energy=self._spec.search is not None and ENERGY in self._spec.search.goal,
            **self._condemnation.request(stage_id, stage.config),
        ).as_dict()

    def _ray_text(self, stage_id: StageId) -> str:
        """Return Ray's text about the newest trial of a stage. Tune writes the text before it calls the searcher."""
        file = next((trial.error_file for trial in reversed(self._trials) if stage_of(trial.config) == stage_id), None)
        if file is None or not Path(file).exists():
            return ""
        # The first line is Tune's, not Ray's.
        return Path(file).read_text(errors="replace").partition("\n")[2]

    # -- called by Tune ----------------------------------------------------------------------------------------

    def on_round(self, trials: list[Any]) -> None:
        """End unwanted and stalled trials, and log the progress.

        Tune calls this before each of its events, and while it waits for one.
        """
        self._trials = trials
        if time.monotonic() >= self._next_look:
            self._look_at_cluster()
        self._end_early()
        self._turns.withdraw(self._scheduler)
        self._watchdog.look()
        self._lines.look()

    def _end_early(self) -> None:
        """End all chains that cannot run, once, when the check has found them.

        Chains whose values are proposed later are refused when they are taken.
        """
        if self._stopping.has_begun:
            return
        self._condemnation.look()
        if self._has_ended_early or not self._condemnation.condemns:
            return
        self._has_ended_early = True
        self._early_ends.end_waiting()
        self._turns.apply_decisions()
        if self._trials:
            self._scheduler.withdraw(lambda trial: self._condemned_in(trial) is None)
        for trial in self._trials:
            condemned = self._condemned_in(trial.config)
            # A trial of the condemned stage itself fails at its start, by itself.
            if trial.status == Trial.RUNNING and condemned is not None and condemned != stage_of(trial.config):
                kill(trial.temporary_state.ray_actor)

    def _condemned_in(self, trial: dict[str, Any]) -> StageId | None:
        return self._early_ends.condemned_stage(self._ledger.chains[stage_of(trial).chain])

    def on_start(self, stage_id: StageId, trial: Any) -> None:
        """Watch a trial whose process has started."""
        name_steps(trial.temporary_state.ray_actor, trial.config["label"])
        progress = self._ledger.progress(stage_id)
        spent = spent_s(progress.started, progress.commits, self._ledger.generation)
        self._lines.began(stage_id)
        self._watchdog.began(stage_id, trial.temporary_state.ray_actor, progress.folder, spent)
        self.on_change(stage_id)

    def on_complete(self, trial: Any) -> None:
        """Decide whether another trial may run in the process of a trial that has ended."""
        has_work = self._books.board.has_ready or self._scheduler.has_waiting
        self._scheduler.use_process_again(has_work and self._reuse.is_wanted(trial.last_result))
        forget_names(trial.temporary_state.ray_actor)

    def on_change(self, stage_id: StageId) -> None:
        """Announce that a trial has started, or has committed an epoch."""
        self._stopping.window.began(stage_id)
        self._ledger.announce(stage_id, WorkState.RUNNING)
        self._ledger.announce_chain(self._ledger.chains[stage_id.chain])

    def _on_end(self, stage_id: StageId, result: dict[str, Any] | None) -> None:
        with or_die("the end of a trial", stage_id):
            self._lines.ended(stage_id)
            self._condemnation.ended(stage_id)
            self._endings.record(stage_id, result)
            self._books.resampler.look()


class _Watcher(Callback):
    """The callbacks of Tune that a campaign uses."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._campaign.on_round(trials)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._campaign.on_start(stage_of(trial.config), trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if not result.get("done"):
            self._campaign.on_change(stage_of(trial.config))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        _free_averages(trial)
        self._campaign.on_complete(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        _free_averages(trial)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its callbacks for a restore that is never made. Locks and open files cannot be pickled.
        return (Callback, ())


def _free_averages(trial: Any) -> None:
    """Drop Tune's averages of the metrics of an ended trial. Nothing reads them, and they take 16 kB a trial."""
    trial.run_metadata.metric_analysis = {}
    trial.run_metadata.metric_n_steps = {}
