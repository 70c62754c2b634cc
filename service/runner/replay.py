"""Replaying a stage from where it started, and comparing it with its journal, metric by metric and bit by bit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed import ProcessGroup

from service.plan import Chain, previous_stage
from service.runner.stage_folder import Commit, read_progress
from service.runner.trial_parts import load_last
from service.storage import ExperimentFolder, StageFolder
from tet_core import environment, train_epochs
from tet_core.analysis import analyse
from tet_core.config import AnalysisConfig, TrainConfig
from tet_core.energy import VAL_ENERGY_J
from tet_core.training import NUM_WORKERS

# Metrics that tell how long something took: no part of a metric series.
TIMES = ("_s", "_per_s")
# What stages were trained with that were recorded before there was a choice, and what analyses are.
_BEFORE = {NUM_WORKERS: 1}


class NothingToCompare(ValueError):  # noqa: N818 - named for what it says
    """The stage has published nothing yet, or what it started from is gone."""


@dataclass(frozen=True)
class Step:
    """An epoch or a row, as it came out of the replay."""

    number: int
    metrics: Mapping[str, float]
    weights_sha256: str


class Replay:
    """One stage of one chain."""

    def __init__(
        self, folder: ExperimentFolder, chain: Chain, stage: int, data_root: Path | None,
        group: ProcessGroup | None = None,
    ) -> None:  # fmt: skip
        """Look at what the stage has published; `group` is that of the workers that train it once more.

        Raises:
            NothingToCompare: it has published nothing.
        """
        self._plan, self._data_root, self._group = chain.stages[stage], data_root, group
        self._published = read_progress(folder.stage(chain.id, stage))
        if not self._published.commits:
            raise NothingToCompare("the stage has committed nothing that could be compared")
        self._before = previous_stage(folder, chain, stage)

    def run(self) -> dict[str, Any]:
        """Replay all that is committed; the result as it is stored."""
        found: dict[str, Any] = {"num_compared": 0, "first_difference": None, "environment": []}
        steps = self._steps()
        for commit in self._published.commits:
            step = next(steps)
            found["environment"] = self._differences
            found["num_compared"] = commit.epoch
            if difference := _difference(commit, step):
                where = "; ".join(self._differences)
                reason = f"{difference['what']} of {commit.epoch} differs" + (
                    f" (environment: {where})" if where else ""
                )
                return {"state": "different", "reason": reason, **found, "first_difference": difference}
        last = self._published.commits[-1]
        return {"state": "equal", "reason": "", **found, "weights_sha256": last.weights_sha256}

    def _steps(self) -> Iterator[Step]:
        initial = None if self._before is None else _last_of(self._before)
        if isinstance(self._plan.config, TrainConfig):
            with_energy = VAL_ENERGY_J in self._published.commits[0].metrics
            epochs = train_epochs(
                self._plan.config, initial=initial, data_root=self._data_root, with_energy=with_energy,
                group=self._group,
            )  # fmt: skip
            self._compare_environments(epochs.start.environment)
            for epoch in epochs:
                yield Step(epoch.number, epoch.metrics, epoch.weights_sha256)
        else:
            yield from self._rows(self._plan.config, initial)

    def _rows(self, config: AnalysisConfig, initial: dict[str, Any] | None) -> Iterator[Step]:
        assert initial is not None, "a spec has a train stage before every analysis"
        rows = analyse(initial, config.analysis, done=0, data_root=self._data_root)
        self._compare_environments(rows.start.environment)
        for row in rows:
            yield Step(row.number, row.metrics, rows.start.initial_sha256)

    def _compare_environments(self, now: Mapping[str, str | int | bool]) -> None:
        then = self._published.started[0].environment
        self._differences: list[str] = environment.differences({**_BEFORE, **then}, {**_BEFORE, **now})


def _last_of(folder: StageFolder) -> dict[str, Any]:
    try:
        checkpoint = load_last(folder)
    except FileNotFoundError:
        checkpoint = None
    if checkpoint is None:
        raise NothingToCompare(f"the checkpoint that the stage started from has been removed ({folder.path})")
    return checkpoint


def _difference(commit: Commit, step: Step) -> dict[str, Any] | None:
    """The first thing in which a step differs from what was committed; None if nothing does."""
    for key in sorted(set(commit.metrics) | set(step.metrics)):
        then, now = commit.metrics.get(key), step.metrics.get(key)
        if then != now and not key.endswith(TIMES):
            return {"step": commit.epoch, "what": key, "published": then, "replayed": now}
    if commit.weights_sha256 != step.weights_sha256:
        hashes = {"published": commit.weights_sha256, "replayed": step.weights_sha256}
        return {"step": commit.epoch, "what": "weights_sha256", **hashes}
    return None
