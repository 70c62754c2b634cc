"""One Ray Tune trial: one attempt at one stage of one chain.

Tune calls `step` once an epoch. Everything that matters is committed to the stage folder; what is returned to
Tune only tells the driver to look there.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.util.metrics import Gauge

from service.runner.best import best_commit
from service.runner.failures import describe
from service.runner.stage_folder import Attempt, Commit, Superseded, read_commits, read_progress
from service.storage import StageFolder
from tet_core import checkpoint as checkpoints
from tet_core import train_epochs
from tet_core.config import TrainConfig

_TAGS = ("experiment", "arm", "seed", "stage")
# A reader may find its checkpoint pruned by an attempt that was just being superseded; it then reads the newer commit.
_LOAD_TRIES = 5


@dataclass(frozen=True)
class TrialConfig:
    """What the driver tells a trial, as Tune's config: plain values alone."""

    experiment_id: str
    chain_id: str
    label: str
    arm: str
    seed: int
    stage_index: int
    stage_path: str
    previous_stage_path: str | None
    train: dict[str, Any]
    data_root: str | None
    cpus: float
    gpus: float

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


class StageTrial(tune.Trainable):
    """Runs `tet_core.train_epochs` and commits each epoch before it is reported."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """What a trial needs of a node; `tune.with_resources` would hide the class's name from the dashboard."""
        return tune.PlacementGroupFactory([{"CPU": config["cpus"], "GPU": config["gpus"]}])

    def setup(self, config: dict[str, Any]) -> None:
        """Take the configuration; the work begins with the first step, where its errors can be told apart."""
        self._trial = TrialConfig(**config)
        self._epochs: Iterator[dict[str, Any]] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Serve another stage in the same process, where actors are reused."""
        self.setup(new_config)
        return True

    def __repr__(self) -> str:
        return self._trial.label if hasattr(self, "_trial") else type(self).__name__

    def step(self) -> dict[str, Any]:
        """Run one epoch, commit it and report it."""
        try:
            if self._epochs is None:
                self._epochs = _run(self._trial)
            return next(self._epochs)
        except Superseded as error:
            self._say(str(error))
            return {"epoch": 0, "done": True, "end": "lost", "failure": None}
        except Exception as error:
            failure = describe(error)
            self._say(f"failed: {failure['kind']}: {failure['message']}\n{failure['traceback']}")
            # As text: Tune flattens the dictionaries of a result before its searcher sees them.
            return {"epoch": 0, "done": True, "end": "failed", "failure": json.dumps(failure)}

    def _say(self, text: str) -> None:
        print(f"{self._trial.label}: {text}", file=sys.stderr, flush=True)

    # Tune asks for these only where it is told to make checkpoints of its own, which it is not.
    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: the stage folder has it."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing: see `save_checkpoint`."""


def _run(trial: TrialConfig) -> Iterator[dict[str, Any]]:
    """One attempt, from the newest committed epoch to the stage's end; yields a report an epoch."""
    import torch  # noqa: F401 - here, so that a broken installation fails as a trial, with its reason

    folder = StageFolder(Path(trial.stage_path))
    attempt = Attempt(folder)
    config = TrainConfig.model_validate(trial.train)
    data_root = None if trial.data_root is None else Path(trial.data_root)
    resume, initial = _load_start(trial, folder)
    say = _logger(trial.label, folder.trial_log(attempt.number))
    resumed_epoch = resume["epoch"] if resume else 0
    say(f"attempt {attempt.number} starts behind epoch {resumed_epoch} of {config.epochs}")
    begun_ms = _now_ms()
    epochs = train_epochs(config, initial=initial, resume=resume, data_root=data_root)
    attempt.write_started(at_ms=begun_ms, resumed_epoch=resumed_epoch, **asdict(epochs.start))
    gauges = _Gauges(trial)
    commits = read_commits(folder)
    for epoch in epochs:
        checkpoints.save(epoch.checkpoint(), attempt.checkpoint_path(epoch.number))
        commit = attempt.commit(
            epoch=epoch.number, epochs=epoch.epochs, at_ms=_now_ms(), metrics=epoch.metrics,
            weights_sha256=epoch.weights_sha256,
        )  # fmt: skip
        commits.append(commit)
        attempt.prune(keep={commit.checkpoint, best_commit(commits).checkpoint})
        say(_line(commit))
        gauges.set(commit)
        yield {"epoch": commit.epoch, "done": False, "end": None, "failure": None}
    _write_model(folder, attempt)
    attempt.finish(state="succeeded", at_ms=_now_ms())
    say("stage complete")
    yield {"epoch": config.epochs, "done": True, "end": "succeeded", "failure": None}


def _load_start(trial: TrialConfig, folder: StageFolder) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The checkpoint of this stage to go on from, and that of the stage before to start from."""
    resume = _load_last(folder)
    if trial.previous_stage_path is None:
        return resume, None
    return resume, _load_last(StageFolder(Path(trial.previous_stage_path)))


def _load_last(folder: StageFolder) -> dict[str, Any] | None:
    for tries_left in reversed(range(_LOAD_TRIES)):
        progress = read_progress(folder)
        if progress.last is None:
            return None
        try:
            return checkpoints.load(progress.checkpoint(progress.last))
        except FileNotFoundError:
            if tries_left == 0:
                raise
    raise AssertionError("unreachable")


def _write_model(folder: StageFolder, attempt: Attempt) -> None:
    """Leave the trained network alone, without the optimiser, beside the attempt's other files."""
    full = _load_last(folder)
    assert full is not None
    checkpoints.save({**full, "optimizer": {}}, attempt.path / "model.pt")


def _line(commit: Commit) -> str:
    m = commit.metrics
    return (
        f"epoch {commit.epoch}/{commit.epochs}: train loss {m['train/loss']:.4f}, test loss {m['test/loss']:.4f} "
        f"(sdt {m['test/loss_sdt']:.4f}, tet {m['test/loss_tet']:.4f}), test accuracy {m['test/accuracy']:.2%}, "
        f"{m['epoch_time_s']:.2f} s"
    )


def _logger(label: str, file: Path) -> Callable[[str], None]:
    """A function that prints a line, which Ray keeps with the actor, and appends it to the attempt's own log."""

    def say(text: str) -> None:
        line = f"{label}: {text}"
        print(line, flush=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")

    return say


class _Gauges:
    """A trial's progress among Ray's own metrics."""

    def __init__(self, trial: TrialConfig) -> None:
        values = (trial.experiment_id, trial.arm, str(trial.seed), str(trial.stage_index))
        self._tags = dict(zip(_TAGS, values, strict=True))
        self._progress = Gauge("tet_stage_progress", "Committed epochs of the stage, as a fraction.", _TAGS)
        self._accuracy = Gauge("tet_test_accuracy", "Test accuracy of the newest committed epoch, a fraction.", _TAGS)
        self._loss = Gauge("tet_train_loss", "Training loss of the newest committed epoch.", _TAGS)

    def set(self, commit: Commit) -> None:
        self._progress.set(commit.epoch / commit.epochs, self._tags)
        self._accuracy.set(commit.metrics["test/accuracy"], self._tags)
        self._loss.set(commit.metrics["train/loss"], self._tags)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
