"""Runs what the board offers as trials of one Tuner, and tells the board how each ended."""

import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, TuneConfig

from service.failures import Failure
from service.plan import Chain, StagePlan, previous_stage
from service.runner.chains.board import Answer, Board, StageId
from service.runner.chains.ledger import Ledger
from service.runner.chains.study import Study, Verdict
from service.runner.commits.attempt import Attempt, Superseded
from service.runner.diagnosis import diagnose_lost, diagnose_superseded, is_of_configuration
from service.runner.shipping.run_content import stage_label
from service.runner.trial.config import TrialConfig
from service.runner.trial.heartbeat import spent_s
from service.runner.trial.trainable import StageTrial
from service.runner.tuning.scheduler import PatientScheduler
from service.runner.tuning.searcher import ChainSearcher
from service.runner.tuning.stop_window import StopWindow, WindowStopper
from service.runner.tuning.takeover import Takeover
from service.runner.tuning.watchdog import Watchdog
from service.spec import Experiment
from service.spec.search import ENERGY
from service.states import WorkState
from service.storage import ExperimentFolder

log = logging.getLogger(__name__)

# Trials that Tune may hold ready beside those that run. More start a large cluster faster; fewer let a chain's next
# stage come sooner, since processes are started in the order in which trials were offered.
MAX_PENDING = 16
# Tune writes the state of all trials every ten seconds or so, for a restore that is never made: a file, and memory,
# that grow with each trial. It cannot be told not to, but to wait longer than any experiment takes.
NO_SNAPSHOT_S = 10**9


class Campaign:
    """One driver's trials."""

    def __init__(
        self,
        experiment_id: str,
        spec: Experiment,
        board: Board,
        ledger: Ledger,
        study: Study,
        folder: ExperimentFolder,
        data_root: Path | None,
        attempt: int,
        stop: StopWindow,
        takeover: Takeover,
        trainable: type[tune.Trainable] = StageTrial,
    ) -> None:
        """Put a driver's parts together; `trainable` is what runs a stage, given a `TrialConfig`'s values."""
        self._experiment_id = experiment_id
        self._spec = spec
        self._board = board
        self._ledger = ledger
        self._study = study
        self._folder = folder
        self._data_root = data_root
        self._attempt = attempt
        self._stop = stop
        self._takeover = takeover
        self._trainable = trainable
        self._watchdog = Watchdog(spec.limits)
        # Tune's own list of its trials, as it was last seen.
        self._trials: list[Any] = []
        self._scheduler = PatientScheduler(self._goes_on)
        # Stages whose trial the search has told to end; and chains that it has stopped, of which trials may wait.
        self._told_to_end: set[StageId] = set()
        self._stopped: set[str] = set()
        # For each stage: losses in a row, and the epoch that was committed at the last one.
        self._losses: dict[StageId, tuple[int, int]] = {}

    def run(self) -> None:
        """Run trials until the board has nothing left, or the experiment is stopped."""
        ray.init(address="auto", log_to_driver=True, logging_level=logging.WARNING)
        resources = self._spec.resources
        self._limit_open()
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(self._max_pending()))
        os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(NO_SNAPSHOT_S))
        tuner = tune.Tuner(
            self._trainable,
            tune_config=TuneConfig(
                search_alg=ChainSearcher(self._take, self._trial_config, self._on_end_or_die),
                scheduler=self._scheduler,
                num_samples=-1,
                reuse_actors=resources.reuse_actors,
                trial_name_creator=lambda trial: trial.config["label"],
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=RunConfig(
                name=f"{self._attempt:04d}",
                storage_path=str(self._folder.path / "tune"),
                stop=WindowStopper(self._stop, self._takeover.has_come),
                callbacks=[_Watcher(self)],
                failure_config=FailureConfig(max_failures=0),
                checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            tuner.fit()
        ray.shutdown()

    def _num_slots(self) -> int:
        """How many trials the cluster has room for, as it is now."""
        resources, cluster = self._spec.resources, ray.cluster_resources()
        room = int(min(cluster.get(kind, 0.0) / share for kind, share in resources.demand().items()))
        return room // resources.workers_per_trial

    def _limit_open(self) -> None:
        """How many configurations of a search may be open at once."""
        search = self._spec.search
        if search is not None and search.learns and search.max_concurrent is None:
            # What is begun before there is room for it has learnt nothing from what runs in the meantime.
            self._board.max_open = max(1, -(-self._num_slots() // len(self._spec.seeds)))

    def _max_pending(self) -> int:
        resources, slots = self._spec.resources, self._num_slots()
        spare = min(MAX_PENDING, slots)
        # The scheduler spares processes that are being started only where it has other trials for a free one.
        return max(1, slots + spare if resources.reuse_actors else spare)

    # -- what the searcher and Tune ask ------------------------------------------------------------------------

    def _take(self) -> StageId | Answer:
        """The next stage to run; of a search that learns, now is when its configuration is proposed."""
        while isinstance(stage := self._board.take(), StageId) and not self._settled(stage):
            self._apply_turns()
            self._board.lost(stage)
        return stage

    def _settled(self, stage_id: StageId) -> bool:
        try:
            return self._study.settle(stage_id.chain)
        except BaseException:
            _die("cannot propose anything for %s", stage_id)

    def _goes_on(self, trial: dict[str, Any], result: dict[str, Any]) -> bool:
        """Whether a trial goes on behind what it has committed."""
        stage_id = StageId(trial["chain_id"], trial["stage_index"])
        try:
            self._ledger.refresh(stage_id)
            verdict = self._heard(stage_id)
        except BaseException:
            _die("cannot decide on a trial of %s", stage_id)
        if verdict is not Verdict.GO_ON:
            self._told_to_end.add(stage_id)
        return verdict is Verdict.GO_ON

    def _heard(self, stage_id: StageId) -> Verdict:
        """What the study says of a chain by what is committed, which the board then knows too."""
        verdict = self._study.heard(stage_id)
        self._apply_turns()  # first: what is decided at one place releases a chain that waits at the next
        if verdict is Verdict.WAIT:
            self._board.hold(stage_id.chain)
        return verdict

    def _apply_turns(self) -> None:
        """Act by what the study has decided, here and on other chains."""
        for turn in self._study.turns():
            for chain in turn.chains:
                if turn.goes_on:
                    self._board.release(chain.id)
                else:
                    self._board.stop(chain.id)
                    self._stopped.add(chain.id)
                    self._announce_stop(self._ledger.chains[chain.id])

    def _announce_stop(self, chain: Chain) -> None:
        for stage in chain.stages:
            self._ledger.announce(StageId(chain.id, stage.index), WorkState.STOPPED)
        self._ledger.announce_chain(chain)

    # -- what the searcher and Tune tell -----------------------------------------------------------------------

    def _trial_config(self, stage_id: StageId) -> dict[str, Any]:
        chain, stage = self._plan(stage_id)
        path = self._folder.stage(chain.id, stage.index).path
        previous = previous_stage(self._folder, chain, stage.index)
        return TrialConfig(
            experiment_id=self._experiment_id,
            chain_id=chain.id,
            label=stage_label(chain, stage),
            arm=chain.arm,
            seed=chain.seed,
            stage_index=stage.index,
            stage_path=str(path),
            previous_stage_path=None if previous is None else str(previous.path),
            kind=stage.kind,
            config=stage.config.model_dump(mode="json"),
            data_root=None if self._data_root is None else str(self._data_root),
            demand=self._spec.resources.demand(),
            num_workers=self._spec.resources.workers_per_trial if stage.is_train else 1,
            generation=self._ledger.generation,
            limits=self._spec.limits.model_dump(mode="json"),
            with_energy=self._spec.search is not None and ENERGY in self._spec.search.goal,
        ).as_dict()

    def on_round(self, trials: list[Any]) -> None:
        """Tune is about to handle its next event, or has waited for one for a moment."""
        self._trials = trials
        self._withdraw()
        self._watchdog.look()

    def _withdraw(self) -> None:
        """Let no trial begin whose chain was stopped while it waited for a process."""
        while self._stopped:  # the end of one may stop others
            stopped, self._stopped = self._stopped, set()

            def is_wanted(trial: dict[str, Any], stopped: set[str] = stopped) -> bool:
                stage_id = StageId(trial["chain_id"], trial["stage_index"])
                if stage_id.chain not in stopped:
                    return True
                self._told_to_end.add(stage_id)
                return False

            self._scheduler.withdraw(is_wanted)

    def on_start(self, stage_id: StageId, trial: Any) -> None:
        """A trial has a process, and begins."""
        self._limit_open()  # the cluster may have grown
        progress = self._ledger.progress(stage_id)
        spent = spent_s(progress.started, progress.commits, self._ledger.generation)
        self._watchdog.began(stage_id, trial.temporary_state.ray_actor, progress.folder, spent)
        self.on_change(stage_id)

    def on_change(self, stage_id: StageId) -> None:
        """A trial started, or committed an epoch."""
        self._stop.began(stage_id)
        chain, _ = self._plan(stage_id)
        self._ledger.announce(stage_id, WorkState.RUNNING)
        self._ledger.announce_chain(chain)

    def _on_end_or_die(self, stage_id: StageId, result: dict[str, Any] | None) -> None:
        # Tune swallows what is raised here, and the chain would wait for ever. A driver that cannot tell its board
        # how a trial ended is of no use: it dies, and the next one starts from what is on storage.
        try:
            self.on_end(stage_id, result)
        except BaseException:
            _die("cannot go on after the end of a trial of %s", stage_id)

    def on_end(self, stage_id: StageId, result: dict[str, Any] | None) -> None:
        """A trial ended: what counts is what it left on storage."""
        self._stop.ended(stage_id)
        verdict = self._watchdog.ended(stage_id)
        going_on = not (self._stop.stopping or self._takeover.has_come())
        if not going_on:
            self._board.close()
        chain, stage = self._plan(stage_id)
        progress = self._ledger.refresh(stage_id)
        as_told = stage_id in self._told_to_end
        self._told_to_end.discard(stage_id)
        if progress.done is None and going_on and not as_told:
            self._on_loss(stage_id, verdict or self._failure(stage_id, result))
            progress = self._ledger.refresh(stage_id)
        state = progress.done.state if progress.done is not None else None
        if state == "succeeded":
            self._board.succeeded(stage_id)
        elif state == "failed":
            self._board.failed_for_good(stage_id)
            self._study.failed(chain.id)
        else:
            # Its trial may have been lost between a commit and the report of it.
            if going_on:
                self._heard(stage_id)
            self._board.lost(stage_id)
        self._apply_turns()
        self._ledger.announce(stage_id, WorkState.WAITING)
        self._ledger.announce_chain(chain)
        log.info(
            "%s: trial ended, stage %s", stage_label(chain, stage), progress.done.state if progress.done else "open"
        )

    def _failure(self, stage_id: StageId, result: dict[str, Any] | None) -> Failure:
        """Why a trial ended without the stage's end, from its last result; there is none where it was lost."""
        if result is None:
            return diagnose_lost(self._said(stage_id))
        if result.get("failure"):
            return Failure.model_validate_json(result["failure"])
        return diagnose_superseded()

    def _said(self, stage_id: StageId) -> str:
        """What Ray said of the newest trial at a stage: Tune writes it down before it tells its searcher."""
        file = next((trial.error_file for trial in reversed(self._trials) if _stage_of(trial) == stage_id), None)
        if file is None or not Path(file).exists():
            return ""
        # A headline of Tune's own comes first.
        return Path(file).read_text(errors="replace").partition("\n")[2]

    def _on_loss(self, stage_id: StageId, failure: Failure) -> None:
        """Decide whether a stage whose trial left no marker is tried again; if not, mark it failed."""
        last = self._ledger.progress(stage_id).last
        epoch = last.epoch if last else 0
        losses, epoch_then = self._losses.get(stage_id, (0, -1))
        losses = losses + 1 if epoch == epoch_then else 1
        self._losses[stage_id] = (losses, epoch)
        log.warning("%s: %s: %s", stage_id, failure.type, failure.message)
        if is_of_configuration(failure, self._spec.resources.gpus_per_trial) and self._study.broke(stage_id, failure):
            return
        if failure.whose == "user":
            self._mark_failed(stage_id, failure)
        elif losses >= self._spec.limits.max_losses:
            count = f"{losses} times in a row" if losses > 1 else "once"
            told = f"{failure.message} ({count}, with no epoch in between; limits.max_losses is {losses})"
            self._mark_failed(stage_id, failure.with_message(told))

    def _mark_failed(self, stage_id: StageId, failure: Failure) -> None:
        try:
            attempt = Attempt(self._folder.stage(stage_id.chain, stage_id.index), self._ledger.generation)
            attempt.finish(state="failed", at_ms=time.time_ns() // 1_000_000, failure=failure)
        except Superseded as error:  # another driver's trial is at work there; its end will be the stage's
            log.warning("%s", error)

    def _plan(self, stage_id: StageId) -> tuple[Chain, StagePlan]:
        chain = self._ledger.chains[stage_id.chain]
        return chain, chain.stages[stage_id.index]


def _die(what: str, stage_id: StageId) -> NoReturn:
    log.critical(what, stage_id, exc_info=True)
    logging.shutdown()
    os._exit(1)


class _Watcher(Callback):
    """Passes on what Tune sees of trials between their begin and their end."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._campaign.on_round(trials)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._campaign.on_start(_stage_of(trial), trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if not result.get("done"):
            self._campaign.on_change(_stage_of(trial))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        _forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        _forget(trial)

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its callbacks for a restore that is never made; locks and open files must not go along.
        return (Callback, ())


def _forget(trial: Any) -> None:
    """Drop what Tune keeps of each metric of a trial that has ended: averages that nobody asks for, 16 kB a trial."""
    trial.run_metadata.metric_analysis = {}
    trial.run_metadata.metric_n_steps = {}


def _stage_of(trial: Any) -> StageId:
    return StageId(trial.config["chain_id"], trial.config["stage_index"])
