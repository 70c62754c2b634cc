"""The parts that trainings and analyses share: report, checkpoint to start from, log and gauges."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.util.metrics import Gauge

from service.runner.commits.reading import read_progress
from service.runner.commits.records import Commit
from service.runner.trial.config import TrialConfig, TrialEnd
from service.storage import StageFolder
from service.times import for_programs
from tet_core import checkpoint as checkpoints

_TAGS = ("experiment", "arm", "seed", "stage")
# How many times `load_last` looks for the newest checkpoint. Another attempt may commit a newer checkpoint, and delete
# the older file before this attempt has read it.
_LOAD_TRIES = 5


def report(epoch: int, *, end: TrialEnd | None = None) -> dict[str, Any]:
    """Return a trial's report to Tune, after a commit or at the trial's end."""
    return {"epoch": epoch, "done": end is not None, "end": end, "failure": None, "wear": None}


def load_last(folder: StageFolder) -> dict[str, Any] | None:
    """Return the newest checkpoint of a train stage; None if it has none."""
    for tries_left in reversed(range(_LOAD_TRIES)):
        progress = read_progress(folder)
        if progress.last is None:
            return None
        try:
            return checkpoints.load_checkpoint(progress.checkpoint(progress.last))
        except FileNotFoundError:
            if tries_left == 0:
                raise
    raise AssertionError("unreachable")


def line_writer(label: str, file: Path) -> Callable[[str], None]:
    """Return a function that prints a line (to the actor's log in Ray) and appends it to a file (the attempt's log)."""

    def say(text: str) -> None:
        line = f"{label}: {text}"
        print(line, flush=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{for_programs(time.time())} {line}\n")

    return say


class Gauges:
    """The gauges of a trial's progress, among Ray's metrics."""

    def __init__(self, trial: TrialConfig) -> None:
        # Ray's metrics take ASCII only, and the name of an arm may be any text.
        arm = trial.arm.encode("ascii", "backslashreplace").decode("ascii")
        values = (trial.experiment_id, arm, str(trial.seed), str(trial.stage_index))
        self._tags = dict(zip(_TAGS, values, strict=True))
        self._progress = Gauge("tet_stage_progress", "Committed epochs or rows of the stage, as a fraction.", _TAGS)
        self._accuracy = Gauge("tet_test_accuracy", "Test accuracy of the newest committed epoch, a fraction.", _TAGS)
        self._loss = Gauge("tet_train_loss", "Training loss of the newest committed epoch.", _TAGS)

    def set(self, commit: Commit) -> None:
        """Set the gauges to a commit. An analysis has neither accuracy nor loss."""
        self._progress.set(commit.epoch / commit.epochs, self._tags)
        for gauge, key in ((self._accuracy, "test/accuracy"), (self._loss, "train/loss")):
            if key in commit.metrics:
                gauge.set(commit.metrics[key], self._tags)


def now_ms() -> int:
    """Return the time, in ms since 1970."""
    return time.time_ns() // 1_000_000
