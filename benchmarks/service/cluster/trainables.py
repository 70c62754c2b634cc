"""Trials that only report. They do not import torch, whose time and memory would dominate all measurements."""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray import tune

from service.runner.commits.attempt import Attempt
from service.states import WorkState
from service.storage import StageFolder
from tet_core.measure.metric_names import OF_AN_EPOCH

WEIGHTS = hashlib.sha256(b"none").hexdigest()
CHECKPOINT = b"no weights"


class BareTrial(tune.Trainable):
    """The trial of bare Tune: one report, then the end."""

    def setup(self, config: dict[str, Any]) -> None:
        """Set up nothing."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Accept the next trial."""
        return True

    def step(self) -> dict[str, Any]:
        """Return the only report."""
        return {"epoch": 1, "done": True, "torch": "torch" in sys.modules}


class ReportTrial(tune.Trainable):
    """A stage of the service without its training: it starts an attempt, commits each epoch and marks the end."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """Return the resources that a trial needs."""
        return tune.PlacementGroupFactory([config["demand"]])

    def setup(self, config: dict[str, Any]) -> None:
        """Read the configuration."""
        self._reports = _reports(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Accept the next stage."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Commit and report one epoch; the end is a separate report, as for a training."""
        return next(self._reports)


def _reports(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Do the work of `service.runner.trial.train_stage` without the training, and yield its reports."""
    attempt = Attempt(StageFolder(Path(config["stage_path"])), config["generation"])
    attempt.write_started(
        at_ms=_now_ms(),
        resumed_epoch=0,
        initial_sha256=WEIGHTS,
        environment={"torch": "none"},
        dataset={"name": "none", "digest": "0" * 64, "source": "none"},
        num_parameters=0,
    )
    epochs = config["config"]["epochs"]
    for epoch in range(1, epochs + 1):
        attempt.checkpoint_path(epoch).write_bytes(CHECKPOINT)
        metrics = _metrics(epoch)
        commit = attempt.commit(epoch=epoch, epochs=epochs, at_ms=_now_ms(), metrics=metrics, weights_sha256=WEIGHTS)
        attempt.prune(keep={commit.checkpoint})
        yield {"epoch": epoch, "done": False, "end": None, "failure": None}
    (attempt.path / "model.pt").write_bytes(CHECKPOINT)
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=_now_ms())
    yield {"epoch": epochs, "done": True, "end": "succeeded", "failure": None}


def _metrics(epoch: int) -> dict[str, float]:
    # The metric "torch" reports whether the trial's process has loaded torch, which it must not do.
    return dict.fromkeys(OF_AN_EPOCH, 0.5) | {"epoch_time_s": 0.0, "torch": float("torch" in sys.modules)}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
