"""A program that withdraws waiting trials while two others run. It prints the started trials as JSON.

One of the two continues until it is clear that no other trial gets the process of the second one.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

from service.runner.tuning.scheduler import PatientScheduler

SLOTS, TRIALS = 2, 8
LONG, SHORT = 0, 1
# The longest wait, in s, for a file.
WITHIN_S = 60.0
# The number of Tune's steps, of 0.1 s each, within which a waiting trial would get a free process.
STEPS = 20


class WaitingTrial(tune.Trainable):
    """A trial that reports when a file appears: `end` for the long one, `withdrawn` for the others."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._folder, self._number = Path(new_config["folder"]), new_config["number"]
        return True

    def step(self) -> dict[str, Any]:
        (self._folder / f"{self._number}.began").touch()
        deadline = time.monotonic() + WITHIN_S
        file = self._folder / ("end" if self._number == LONG else "withdrawn")
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return {"done": True}


class KnownController(PatientScheduler):
    """A scheduler that keeps Tune's controller for the test."""

    controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self.controller = tune_controller._tune_controller
        super().on_trial_add(tune_controller, trial)


class Withdrawing(tune.Callback):
    """The withdrawal of all waiting trials once two run. It reads Tune's state some steps after one of them ended."""

    def __init__(self, scheduler: KnownController, folder: Path) -> None:
        self.scheduler, self.folder = scheduler, folder
        self.num_steps_after = 0
        self.counts: dict[str, int] = {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        running = [trial for trial in trials if trial.status == "RUNNING"]
        if not (self.folder / "withdrawn").exists():
            if len(trials) == TRIALS and len(running) == SLOTS:
                self.scheduler.withdraw(lambda config: config["number"] in (LONG, SHORT))
                (self.folder / "withdrawn").touch()
        elif len(running) == 1:
            self.num_steps_after += 1
            if self.num_steps_after == STEPS:
                controller = self.scheduler.controller
                self.counts = {
                    "staged": len(controller._staged_trials),
                    "processes": controller._actor_manager.num_live_actors,
                }
                (self.folder / "end").touch()

    def __reduce__(self) -> tuple[Any, ...]:
        return (tune.Callback, ())


def main(folder: Path) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(TRIALS)
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init("local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    scheduler = KnownController()
    withdrawing = Withdrawing(scheduler, folder)
    tuner = tune.Tuner(
        WaitingTrial,
        param_space={"folder": str(folder), "number": tune.grid_search(list(range(TRIALS)))},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
        run_config=tune.RunConfig(
            name="withdrawn",
            storage_path=f"{folder}/tune",
            verbose=0,
            callbacks=[withdrawing],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    assert tuner.fit().num_errors == 0
    ray.shutdown()
    began = sorted(int(file.stem) for file in folder.glob("*.began"))
    print(json.dumps({"began": began, **withdrawing.counts}), flush=True)


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as home:
        os.environ["RAY_TMPDIR"] = home
        main(Path(home))
