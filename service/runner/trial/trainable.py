"""The trainable of Ray Tune: one trial is one attempt at one stage of one chain.

Tune calls `step` once for each epoch, or each row of an analysis. The results are committed to the stage folder; the
report to Tune only makes the driver read them there.
"""

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ray import tune
from ray._private.ray_constants import LOG_PREFIX_ACTOR_NAME

from service.runner.commits.attempt import Superseded
from service.runner.diagnosis import diagnose
from service.runner.trial.config import TrialConfig, TrialEnd

if TYPE_CHECKING:
    from service.runner.trial.process_state import ProcessState


class StageTrial(tune.Trainable):
    """A trial that trains or analyses. Each epoch or row is committed before it is reported."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """Return the resources of a trial. The trial is its first worker; its other workers use the other bundles.

        `tune.with_resources` is not used, because it hides the class's name from the dashboard.
        """
        return tune.PlacementGroupFactory([config["demand"]] * config.get("num_workers", 1))

    def setup(self, config: dict[str, Any]) -> None:
        """Keep the configuration. The work starts at the first step, where a failure can be reported."""
        self._trial = TrialConfig(**config)
        self._reports: Generator[dict[str, Any]] | None = None
        # The state of the process before its first stage; None until that stage starts.
        self._state: ProcessState | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare for another stage in the same process, which is then like a new one."""
        if self._reports is not None:  # a decision has ended the stage before
            self.cleanup()
            assert self._state is not None, "the stage has run"
            self._state.restore()
        self._trial, self._reports = TrialConfig(**new_config), None
        # Ray writes the actor's name in front of its log lines. This line tells Ray the new name.
        print(f"{LOG_PREFIX_ACTOR_NAME}{self!r}", flush=True)
        return True

    def __repr__(self) -> str:
        return self._trial.label if hasattr(self, "_trial") else type(self).__name__

    def step(self) -> dict[str, Any]:
        """Run one epoch or row, commit it and report it."""
        try:
            if self._reports is None:
                self._reports = self._run()
            report = next(self._reports)
            return report | {"wear": self._wear(has_ended=report["done"])}
        except Superseded as error:
            self._say(str(error))
            return {"epoch": 0, "done": True, "end": TrialEnd.LOST, "failure": None}
        except Exception as error:
            failure = diagnose(error)
            self._say(f"failed: {failure.type}: {failure.message}\n{failure.traceback}")
            # As text: Tune flattens the dictionaries of a result before its searcher sees them.
            return {"epoch": 0, "done": True, "end": TrialEnd.FAILED, "failure": failure.model_dump_json()}

    def cleanup(self) -> None:
        """End the attempt and its other workers."""
        if self._reports is not None:
            self._reports.close()

    def _run(self) -> Generator[dict[str, Any]]:
        """Make one attempt, from the newest commit to the stage's end; yield a report for each commit.

        If the driver has asked for it, the configurations of the whole experiment are checked first.
        """
        # Imported here, so that an error of a broken installation is reported as the trial's failure.
        from service.runner.trial.analyse_stage import run_analysis
        from service.runner.trial.first_check import make_check
        from service.runner.trial.process_state import ProcessState
        from service.runner.trial.train_stage import run_training

        if self._state is None:
            self._state = ProcessState()
        if self._trial.check_file is not None:
            make_check(self._trial)
        return run_training(self._trial) if self._trial.kind == "train" else run_analysis(self._trial)

    def _wear(self, *, has_ended: bool) -> str | None:
        """Return why no other stage may run in this process after this one; None if one may."""
        assert self._state is not None, "the stage has run"
        if not has_ended:
            return self._state.wear()
        self._reports = None
        return self._state.wear_after_stage()

    def _say(self, text: str) -> None:
        print(f"{self._trial.label}: {text}", file=sys.stderr, flush=True)

    # Tune needs these methods only for its own checkpoints, which are switched off.
    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: all checkpoints are in the stage folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing: see `save_checkpoint`."""
