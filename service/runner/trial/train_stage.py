"""A trial that trains: one attempt at a train stage."""

from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.failures import FailureType
from service.runner.commits.attempt import Attempt
from service.runner.commits.best import best_commit
from service.runner.commits.reading import read_commits
from service.runner.commits.records import Commit, Layer
from service.runner.diagnosis import StageFailed
from service.runner.trial import health_limits
from service.runner.trial.ahead import Ahead
from service.runner.trial.common import Gauges, line_writer, load_last, now_ms, report
from service.runner.trial.config import TrialConfig, TrialEnd
from service.runner.trial.heartbeat import Heartbeat
from service.runner.trial.workers.crew import Crew
from service.runner.trial.workers.gathering import gather_workers
from service.spec.blocks import HealthLimits, Limits
from service.states import WorkState
from service.storage import MODEL, StageFolder
from tet_core import checkpoint as checkpoints
from tet_core import train_epochs
from tet_core.config import TrainConfig
from tet_core.data import check_reader
from tet_core.train.epochs import Epoch


def run_training(trial: TrialConfig) -> Generator[dict[str, Any]]:
    """Make one attempt, from the newest committed epoch to the stage's end; yield a report for each epoch."""
    folder = StageFolder(Path(trial.stage_path))
    attempt = Attempt(folder, trial.generation)
    with attempt.at_work():
        yield from _train(trial, folder, attempt)


def _train(trial: TrialConfig, folder: StageFolder, attempt: Attempt) -> Iterator[dict[str, Any]]:
    limits = Limits.model_validate(trial.limits)
    heartbeat = Heartbeat(attempt, limits)
    config = TrainConfig.model_validate(trial.config)
    data_root = None if trial.data_root is None else Path(trial.data_root)
    resume, initial = _load_start(trial, folder)
    if initial is not None and _is_of_this_chain(trial):
        check_reader(initial["environment"], config.dataset, data_root, on_step=heartbeat)
    say = line_writer(trial.label, folder.trial_log(attempt.number))
    resumed_epoch = resume["epoch"] if resume else 0
    say(f"attempt {attempt.number} starts after epoch {resumed_epoch} of {config.epochs}")
    start_ms = now_ms()
    commits = read_commits(folder)
    _check_health(commits, limits.health)
    ahead = Ahead()
    with gather_workers(Crew.of(trial), say) as workers:

        def on_step() -> None:
            heartbeat()
            workers.check()
            ahead.check()

        epochs = train_epochs(
            config,
            initial=initial,
            resume=resume,
            data_root=data_root,
            on_step=on_step,
            with_layers=True,
            with_energy=trial.with_energy,
            group=workers.group,
        )
        attempt.write_started(at_ms=start_ms, resumed_epoch=resumed_epoch, **asdict(epochs.start))
        say(f"data set {epochs.start.dataset['name']}: {epochs.start.dataset['source']}")
        # Other workers would wait for this one in the middle of an epoch that is discarded.
        with nullcontext(epochs) if trial.num_workers > 1 else ahead.making(epochs) as made:
            yield from _commit_all(trial, attempt, made, commits, say)
    with attempt.ending(MODEL):
        _write_model(folder, attempt)
        attempt.finish(state=WorkState.SUCCEEDED, at_ms=now_ms())
    say("stage complete")
    yield report(config.epochs, end=TrialEnd.SUCCEEDED)


def _is_of_this_chain(trial: TrialConfig) -> bool:
    """Return whether the stage before belongs to this chain, so that both stages must see the same pixels.

    A fork's first stage starts from a stage of another experiment.
    """
    previous = trial.previous_stage_path
    return previous is not None and Path(previous).parent == Path(trial.stage_path).parent


def _commit_all(
    trial: TrialConfig, attempt: Attempt, epochs: Iterator[Epoch], commits: list[Commit], say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Commit and report every further epoch."""
    health_limits = Limits.model_validate(trial.limits).health
    gauges = Gauges(trial)
    for epoch in epochs:
        # The commit syncs the folder.
        checkpoints.save_checkpoint(epoch.checkpoint(), attempt.checkpoint_path(epoch.number), sync_entry=False)
        is_last = epoch.number == epoch.epochs
        commit = attempt.commit(
            epoch=epoch.number,
            epochs=epoch.epochs,
            at_ms=now_ms(),
            metrics=epoch.metrics,
            weights_sha256=epoch.weights_sha256,
            layers={name: Layer(**asdict(layer)) for name, layer in epoch.layers.items()},
            sample_bits=attempt.write_sample_bits(epoch.number, epoch.is_correct.numpy()) if is_last else None,
        )
        commits.append(commit)
        attempt.prune(keep={commit.checkpoint, best_commit(commits).checkpoint})
        say(_line(commit))
        gauges.set(commit)
        yield report(commit.epoch)
        _check_health(commits, health_limits)


def _check_health(commits: list[Commit], limits: HealthLimits | None) -> None:
    """Fail a stage whose network is dead, saturated or cut off. Only commits count, so a restart decides the same.

    Raises:
        StageFailed: A layer was out of the limits for too many epochs.
    """
    if limits is not None and (message := health_limits.unhealthy_layer(commits, limits)) is not None:
        raise StageFailed(FailureType.HEALTH, message)


def _load_start(trial: TrialConfig, folder: StageFolder) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the newest checkpoints of this stage and of the stage before; None if there is none."""
    resume = load_last(folder)
    if trial.previous_stage_path is None:
        return resume, None
    return resume, load_last(StageFolder(Path(trial.previous_stage_path)))


def _write_model(folder: StageFolder, attempt: Attempt) -> None:
    """Write the trained network, without the optimiser, to the attempt's folder."""
    full = load_last(folder)
    assert full is not None
    checkpoints.save_checkpoint({**full, "optimizer": {}}, attempt.path / MODEL, sync_entry=False)


def _line(commit: Commit) -> str:
    m = commit.metrics
    return (
        f"epoch {commit.epoch}/{commit.epochs}: train loss {m['train/loss']:.4f}, test loss {m['test/loss']:.4f} "
        f"(sdt {m['test/loss_sdt']:.4f}, tet {m['test/loss_tet']:.4f}), test accuracy {m['test/accuracy']:.2%}, "
        f"{m['epoch_time_s']:.2f} s"
    )
