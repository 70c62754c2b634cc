"""Run as a program: trials that are over at once, on processes that start slowly; prints what came of them, as JSON.

python short_trials.py fifo|patient
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from service.runner.scheduler import PatientScheduler

SCHEDULERS = {"fifo": FIFOScheduler, "patient": PatientScheduler}
SLOTS, TRIALS, START_S = 3, 40, 4.0
# The one that goes on with a chain that has begun.
SECOND_STAGE = 20


class ShortTrial(tune.Trainable):
    """Over with its first report. The first process that serves any is there at once, the others take a while."""

    def setup(self, config: dict[str, Any]) -> None:
        folder = Path(config["folder"])
        (folder / f"{os.getpid()}.started").touch()
        try:
            (folder / "first").touch(exist_ok=False)
        except FileExistsError:
            time.sleep(START_S)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        return {"done": True, "number": self.config["number"], "at": time.time()}


def main(scheduler: str, folder: str) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(2 * SLOTS)
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    tuner = tune.Tuner(
        ShortTrial,
        param_space={
            "folder": folder,
            "number": tune.grid_search(list(range(TRIALS))),
            "stage_index": tune.sample_from(lambda spec: int(spec.config.number == SECOND_STAGE)),
        },
        tune_config=tune.TuneConfig(scheduler=SCHEDULERS[scheduler](), reuse_actors=True),
        run_config=tune.RunConfig(
            name="short",
            storage_path=f"{folder}/tune",
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    found = tuner.fit()
    assert found.num_errors == 0, found.errors
    results = [result.metrics for result in found]
    ray.shutdown()
    in_order = sorted((result for result in results if result is not None), key=lambda result: float(result["at"]))
    num_processes = len([*Path(folder).glob("*.started")])
    print(json.dumps({"order": [each["number"] for each in in_order], "processes": num_processes}), flush=True)


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as home:
        os.environ["RAY_TMPDIR"] = home
        main(sys.argv[1], home)
