"""A program that runs two trials, in one process or in two. It prints the name of each step that Ray lists, as JSON.

python named_steps.py FOLDER used|new
"""

import json
import os
import sys
import time
from typing import Any

import ray
from ray import tune
from ray.util.state import list_tasks

from service.runner.tuning.scheduler import PatientScheduler
from service.runner.tuning.task_names import STEP, forget_names, name_steps

LABELS = ("SDT · seed 0", "TIT · seed 1")
# The longest time, in s, until Ray's list of tasks has all steps.
WITHIN_S = 30.0


class TwoSteps(tune.Trainable):
    """A trial of two steps."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        return {"done": self.training_iteration == 1}


class Naming(tune.Callback):
    """The callback that names the steps of each trial, and says whether a process is used again."""

    def __init__(self, scheduler: PatientScheduler, *, is_used: bool) -> None:
        self._scheduler, self._is_used = scheduler, is_used

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name_steps(trial.temporary_state.ray_actor, trial.config["label"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        forget_names(trial.temporary_state.ray_actor)
        self._scheduler.use_process_again(self._is_used)

    def __reduce__(self) -> tuple[Any, ...]:
        return (tune.Callback, ())


def main(folder: str, process: str) -> None:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    context = ray.init("local", num_cpus=1, include_dashboard=True, log_to_driver=False, logging_level="ERROR")
    scheduler = PatientScheduler()
    tuner = tune.Tuner(
        TwoSteps,
        param_space={"label": tune.grid_search(list(LABELS))},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
        run_config=tune.RunConfig(
            name="named",
            storage_path=folder,
            verbose=0,
            callbacks=[Naming(scheduler, is_used=process == "used")],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    assert tuner.fit().num_errors == 0
    deadline = time.monotonic() + WITHIN_S
    steps: list[Any] = []
    while len(steps) < 2 * len(LABELS) and time.monotonic() < deadline:
        tasks = list_tasks(address=f"http://{context.dashboard_url}", detail=True)
        steps = [task for task in tasks if task.func_or_class_name.endswith(f".{STEP}")]
        time.sleep(0.2)
    ray.shutdown()
    names = sorted(step.name for step in steps)
    print(json.dumps({"names": names, "processes": len({step.actor_id for step in steps})}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
