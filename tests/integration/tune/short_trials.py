"""A program with trials that end at once, in processes that start slowly. It prints their order as JSON.

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

from service.runner.tuning.scheduler import PatientScheduler

SCHEDULERS = {"fifo": FIFOScheduler, "patient": PatientScheduler}
SLOTS, TRIALS = 3, 40
# The number of trials that the first process runs while the other processes start.
SERVED_MEANWHILE = 10
# The longest time, in s, for which the other processes wait for these trials.
WITHIN_S = 60.0


class ShortTrial(tune.Trainable):
    """A trial that ends with its first report. The first process starts at once, the others after some trials."""

    def setup(self, config: dict[str, Any]) -> None:
        folder = Path(config["folder"])
        (folder / f"{os.getpid()}.started").touch()
        if not _is_first_to_make(folder / "first"):
            deadline = time.monotonic() + WITHIN_S
            while not _served(folder, SERVED_MEANWHILE - 1).exists() and time.monotonic() < deadline:
                time.sleep(0.02)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        folder = Path(self.config["folder"])
        place = next(place for place in range(TRIALS) if _is_first_to_make(_served(folder, place)))
        return {"done": True, "number": self.config["number"], "place": place}


def _served(folder: Path, place: int) -> Path:
    return folder / f"{place}.served"


def _is_first_to_make(file: Path) -> bool:
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def main(scheduler: str, folder: str) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(2 * SLOTS)
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init("local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    tuner = tune.Tuner(
        ShortTrial,
        param_space={
            "folder": folder,
            "number": tune.grid_search(list(range(TRIALS))),
        },
        tune_config=tune.TuneConfig(scheduler=SCHEDULERS[scheduler](), reuse_actors=True),
        run_config=tune.RunConfig(
            name="short",
            storage_path=f"{folder}/tune",
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    grid = tuner.fit()
    assert grid.num_errors == 0, grid.errors
    results = [result.metrics for result in grid]
    ray.shutdown()
    in_order = sorted((result for result in results if result is not None), key=lambda result: int(result["place"]))
    num_processes = len([*Path(folder).glob("*.started")])
    print(json.dumps({"order": [each["number"] for each in in_order], "processes": num_processes}), flush=True)


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as home:
        os.environ["RAY_TMPDIR"] = home
        main(sys.argv[1], home)
