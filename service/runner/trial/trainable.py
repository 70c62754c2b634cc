"""One Ray Tune trial: one attempt at one stage of one chain.

Tune calls `step` once an epoch, or once a row of an analysis. Everything that matters is committed to the stage
folder; what is returned to Tune only tells the driver to look there.
"""

import sys
from collections.abc import Generator
from typing import Any

from ray import tune

from service.runner.commits.attempt import Superseded
from service.runner.diagnosis import diagnose
from service.runner.trial.config import TrialConfig


class StageTrial(tune.Trainable):
    """Runs a training or an analysis, of which each epoch or row is committed before it is reported."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """What a trial needs of the nodes; `tune.with_resources` would hide the class's name from the dashboard.

        It is the first of its workers, and starts the others in what is left of this.
        """
        return tune.PlacementGroupFactory([config["demand"]] * config.get("num_workers", 1))

    def setup(self, config: dict[str, Any]) -> None:
        """Take the configuration; the work begins with the first step, where its errors can be told apart."""
        self._trial = TrialConfig(**config)
        self._reports: Generator[dict[str, Any]] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Serve another stage in the same process, where actors are reused."""
        self.setup(new_config)
        return True

    def __repr__(self) -> str:
        return self._trial.label if hasattr(self, "_trial") else type(self).__name__

    def step(self) -> dict[str, Any]:
        """Run one epoch or row, commit it and report it."""
        try:
            if self._reports is None:
                self._reports = _run(self._trial)
            return next(self._reports)
        except Superseded as error:
            self._say(str(error))
            return {"epoch": 0, "done": True, "end": "lost", "failure": None}
        except Exception as error:
            failure = diagnose(error)
            self._say(f"failed: {failure.type}: {failure.message}\n{failure.traceback}")
            # As text: Tune flattens the dictionaries of a result before its searcher sees them.
            return {"epoch": 0, "done": True, "end": "failed", "failure": failure.model_dump_json()}

    def cleanup(self) -> None:
        """End what the attempt has still at work: its other workers."""
        if self._reports is not None:
            self._reports.close()

    def _say(self, text: str) -> None:
        print(f"{self._trial.label}: {text}", file=sys.stderr, flush=True)

    # Tune asks for these only where it is told to make checkpoints of its own, which it is not.
    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: the stage folder has it."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing: see `save_checkpoint`."""


def _run(trial: TrialConfig) -> Generator[dict[str, Any]]:
    """One attempt, from the newest commit to the stage's end; yields a report a commit."""
    # Here, so that a broken installation of what they need fails as a trial, with its reason.
    from service.runner.trial.analysing import run_analysis
    from service.runner.trial.training import run_training

    return run_training(trial) if trial.kind == "train" else run_analysis(trial)
