"""Replaying a stage from where it started, and comparing it with its journal, metric by metric and bit by bit.

Bits hold for one number of workers. Where a stage went on with another one, it is replayed so too: from the replay's
own checkpoint, whose weights were compared, by as many workers as trained what follows.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from torch.distributed import ProcessGroup

from service.plan import Chain, previous_stage
from service.runner.commits.reading import StageProgress, read_progress
from service.runner.commits.records import Commit
from service.runner.trial.parts import load_last
from service.storage import ExperimentFolder, StageFolder
from tet_core import environment, train_epochs
from tet_core.analysis import analyse
from tet_core.config import AnalysisConfig, TrainConfig
from tet_core.measure.energy import VAL_ENERGY_J
from tet_core.train.epochs import NUM_WORKERS

# Metrics that tell how long something took: no part of a metric series.
TIMES = ("_s", "_per_s")
# What stages were trained with that were recorded before there was a choice, and what analyses are.
_BEFORE = {NUM_WORKERS: 1}

# So many workers, at work within the context, which may end before the stage does; None: this process alone.
Gather = Callable[[int], AbstractContextManager[ProcessGroup | None]]


class NothingToCompare(ValueError):  # noqa: N818 - named for what it says
    """The stage has published nothing yet, or what it started from is gone."""


@dataclass(frozen=True)
class Step:
    """An epoch or a row, as it came out of the replay."""

    number: int
    metrics: Mapping[str, float]
    weights_sha256: str


@dataclass(frozen=True)
class Part:
    """What as many workers committed in a row, in one attempt or several."""

    num_workers: int
    commits: tuple[Commit, ...]


def parts_of(progress: StageProgress) -> tuple[Part, ...]:
    """What is committed of a stage, by the number of workers that trained it; of an analysis, one part."""
    numbers = {each.attempt: int(each.environment.get(NUM_WORKERS, 1)) for each in progress.started}
    grouped = groupby(progress.commits, lambda commit: numbers.get(commit.attempt, 1))
    return tuple(Part(number, tuple(commits)) for number, commits in grouped)


class Replay:
    """One stage of one chain."""

    def __init__(
        self,
        folder: ExperimentFolder,
        chain: Chain,
        stage: int,
        data_root: Path | None,
        gather: Gather = lambda num: nullcontext(),
    ) -> None:
        """Look at what the stage has published; `gather` is for the workers that train it once more.

        Raises:
            NothingToCompare: it has published nothing.
        """
        self._plan, self._data_root, self._gather = chain.stages[stage], data_root, gather
        self._published = read_progress(folder.stage(chain.id, stage))
        if not self._published.commits:
            raise NothingToCompare("the stage has committed nothing that could be compared")
        self._before = previous_stage(folder, chain, stage)
        self._checkpoint: dict[str, Any] | None = None

    def run(self) -> dict[str, Any]:
        """Replay all that is committed; the result as it is stored."""
        found: dict[str, Any] = {"num_compared": 0, "first_difference": None, "environment": []}
        parts = parts_of(self._published)
        for part in parts:
            with self._gather(part.num_workers) as group:
                self._compare(part, group, found)
            if difference := found["first_difference"]:
                where = "; ".join(found["environment"])
                reason = f"{difference['what']} of {difference['step']} differs" + (
                    f" (environment: {where})" if where else ""
                )
                return {"state": "different", "reason": reason, **found}
        last = self._published.commits[-1]
        return {"state": "equal", "reason": _in_words(parts), **found, "weights_sha256": last.weights_sha256}

    def _compare(self, part: Part, group: ProcessGroup | None, found: dict[str, Any]) -> None:
        """Replay what as many workers committed, up to the first difference, and take it down in `found`."""
        steps = self._steps(part, group)
        for commit in part.commits:
            step = next(steps)
            found["environment"] = self._differences
            found["num_compared"] = commit.epoch
            if difference := _difference(commit, step):
                found["first_difference"] = difference
                return

    def _steps(self, part: Part, group: ProcessGroup | None) -> Iterator[Step]:
        initial = None if self._before is None else _last_of(self._before)
        if isinstance(self._plan.config, TrainConfig):
            with_energy = VAL_ENERGY_J in self._published.commits[0].metrics
            epochs = train_epochs(
                self._plan.config,
                initial=initial,
                resume=self._checkpoint,
                data_root=self._data_root,
                with_energy=with_energy,
                group=group,
            )
            self._compare_environments(epochs.start.environment, part.commits[0].attempt)
            for epoch in epochs:
                self._checkpoint = epoch.checkpoint()
                yield Step(epoch.number, epoch.metrics, epoch.weights_sha256)
        else:
            yield from self._rows(self._plan.config, initial)

    def _rows(self, config: AnalysisConfig, initial: dict[str, Any] | None) -> Iterator[Step]:
        assert initial is not None, "a spec has a train stage before every analysis"
        rows = analyse(initial, config.analysis, done=0, data_root=self._data_root)
        self._compare_environments(rows.start.environment, self._published.commits[0].attempt)
        for row in rows:
            yield Step(row.number, row.metrics, rows.start.initial_sha256)

    def _compare_environments(self, now: Mapping[str, str | int | bool], attempt: int) -> None:
        started = self._published.started
        then = next((each for each in started if each.attempt == attempt), started[0]).environment
        self._differences: list[str] = environment.differences({**_BEFORE, **then}, {**_BEFORE, **now})


def _in_words(parts: tuple[Part, ...]) -> str:
    """How a stage that changed its number of workers was replayed; empty where it did not."""
    if len(parts) == 1:
        return ""
    told = (
        f"from {part.commits[0].epoch} on by {part.num_workers} (attempt {part.commits[0].attempt})" for part in parts
    )
    return f"replayed with as many workers as it was trained with: {', '.join(told)}"


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
