"""Bare Tune in a separate process: trials that only report, without a searcher and without checkpoints.

python -m benchmarks.service.cluster.bare --trials 2000 --reuse --folder FOLDER
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, TuneConfig

from benchmarks.service.cluster.trainables import BareTrial

DEMAND = {"CPU": 1, "GPU": 1}


class Ends(Callback):
    """A callback that records when each trial ended, and counts the processes that had loaded torch."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.torch = 0

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self.torch += bool(result["torch"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self.at.append(time.time())


def main() -> int:
    """Run the trials, and write `ends.json` to the folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    ray.init(address="auto", log_to_driver=False, logging_level="WARNING")
    ends = Ends()
    tuner = tune.Tuner(
        tune.with_resources(BareTrial, tune.PlacementGroupFactory([DEMAND])),
        tune_config=TuneConfig(num_samples=arguments.trials, reuse_actors=arguments.reuse),
        run_config=RunConfig(
            name="bare",
            storage_path=str(arguments.folder / "tune"),
            callbacks=[ends],
            failure_config=FailureConfig(max_failures=0),
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    tuner.fit()
    (arguments.folder / "ends.json").write_text(json.dumps({"at": ends.at, "torch": ends.torch}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
