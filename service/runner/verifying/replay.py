"""The replay of a stage from where it started, compared with its journal metric by metric and bit by bit.

Equal bits need the same number of workers. Where a stage continued with another number, so does its replay: from the
replay's own checkpoint, whose weights were compared, with as many workers as trained the epochs that follow.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from torch.distributed import ProcessGroup

from service.failures import FailureType
from service.plan import Chain, previous_stage
from service.runner.commits.reading import StageProgress, read_progress
from service.runner.commits.records import Commit
from service.runner.diagnosis import StageFailed
from service.runner.trial.common import load_last
from service.states import VerificationState
from service.storage import ExperimentFolder, StageFolder
from tet_core import environment, train_epochs
from tet_core.analysis import analyse
from tet_core.config import AnalysisConfig
from tet_core.measure.energy import VAL_ENERGY_J
from tet_core.train.epochs import NUM_WORKERS, Epochs

# Endings of the metrics that measure time: they are no part of a metric series.
TIMES = ("_s", "_per_s")
# The environment of stages from before there was a choice of the number of workers, and of analyses.
_BEFORE = {NUM_WORKERS: 1}

# Given a number of workers: a context in which they work, which may end before the stage does. Its value is their
# process group; None where this process works alone.
Gather = Callable[[int], AbstractContextManager[ProcessGroup | None]]


class NothingToCompare(StageFailed):
    """The lack of something to compare with: no commit yet, or a checkpoint that is gone."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureType.DATA, message)


@dataclass(frozen=True)
class Step:
    """An epoch or a row, as it came out of the replay."""

    number: int
    metrics: Mapping[str, float]
    weights_sha256: str


@dataclass(frozen=True)
class Segment:
    """Commits in a row by the same number of workers, in one attempt or several."""

    num_workers: int
    commits: tuple[Commit, ...]


@dataclass(frozen=True)
class Rerun:
    """A segment that is being trained or analysed once more.

    Attributes:
        differences: What differs between the environment then and now, a line each.
        steps: The epochs or rows, as they are made.
    """

    differences: list[str]
    steps: Iterator[Step]


def segments_of(progress: StageProgress) -> tuple[Segment, ...]:
    """Return what is committed of a stage, by the number of workers that trained it; of an analysis, one segment."""
    numbers = {each.attempt: int(each.environment.get(NUM_WORKERS, 1)) for each in progress.started}
    grouped = groupby(progress.commits, lambda commit: numbers.get(commit.attempt, 1))
    return tuple(Segment(number, tuple(commits)) for number, commits in grouped)


class Replay:
    """The replay of one stage of one chain."""

    def __init__(
        self,
        folder: ExperimentFolder,
        chain: Chain,
        stage: int,
        data_root: Path | None,
        gather: Gather = lambda num: nullcontext(),
    ) -> None:
        """Read what the stage has published; `gather` provides the workers that train it once more.

        Raises:
            NothingToCompare: It has published nothing.
        """
        self._plan, self._data_root, self._gather = chain.stages[stage], data_root, gather
        self._published = read_progress(folder.stage(chain.id, stage))
        if not self._published.commits:
            raise NothingToCompare("the stage has committed nothing that could be compared")
        self._before = previous_stage(folder, chain, stage)
        self._checkpoint: dict[str, Any] | None = None

    def run(self) -> dict[str, Any]:
        """Replay all that is committed, up to the first difference; return the result as it is stored."""
        segments = segments_of(self._published)
        for segment in segments:
            with self._gather(segment.num_workers) as group:
                rerun = self._rerun(segment, group)
                num_compared, difference = _compare(segment, rerun.steps)
            found = {
                "num_compared": num_compared,
                "first_difference": difference,
                "environment": rerun.differences,
            }
            if difference is not None:
                where = f" (environment: {'; '.join(rerun.differences)})" if rerun.differences else ""
                reason = f"{difference['what']} of {difference['step']} differs{where}"
                return {"state": VerificationState.DIFFERENT.value, "reason": reason, **found}
        sha256 = self._published.commits[-1].weights_sha256
        state = VerificationState.EQUAL.value
        return {"state": state, "reason": _in_words(segments), **found, "weights_sha256": sha256}

    def _rerun(self, segment: Segment, group: ProcessGroup | None) -> Rerun:
        initial = None if self._before is None else _last_of(self._before)
        if isinstance(self._plan.config, AnalysisConfig):
            return self._analyse(self._plan.config, initial)
        epochs = train_epochs(
            self._plan.config,
            initial=initial,
            resume=self._checkpoint,
            data_root=self._data_root,
            with_energy=VAL_ENERGY_J in self._published.commits[0].metrics,
            group=group,
        )
        differences = self._differences(epochs.start.environment, segment.commits[0].attempt)
        return Rerun(differences, self._train(epochs))

    def _train(self, epochs: Epochs) -> Iterator[Step]:
        for epoch in epochs:
            self._checkpoint = epoch.checkpoint()
            yield Step(epoch.number, epoch.metrics, epoch.weights_sha256)

    def _analyse(self, config: AnalysisConfig, initial: dict[str, Any] | None) -> Rerun:
        assert initial is not None, "a spec has a train stage before every analysis"
        rows = analyse(initial, config.analysis, done=0, data_root=self._data_root)
        differences = self._differences(rows.start.environment, self._published.commits[0].attempt)
        return Rerun(differences, (Step(row.number, row.metrics, rows.start.initial_sha256) for row in rows))

    def _differences(self, now: Mapping[str, str | int | bool], attempt: int) -> list[str]:
        """Return what differs between this environment and that of an attempt, a line each."""
        started = self._published.started
        then = next((each for each in started if each.attempt == attempt), started[0]).environment
        return environment.differences({**_BEFORE, **then}, {**_BEFORE, **now})


def _compare(segment: Segment, steps: Iterator[Step]) -> tuple[int, dict[str, Any] | None]:
    """Return the last epoch or row that was compared, and the first difference, if there is one."""
    for commit in segment.commits:
        if (difference := _difference(commit, next(steps))) is not None:
            return commit.epoch, difference
    return segment.commits[-1].epoch, None


def _in_words(segments: tuple[Segment, ...]) -> str:
    """Say how a stage was replayed whose number of workers changed; return nothing where it did not."""
    if len(segments) == 1:
        return ""
    shown = (
        f"from {segment.commits[0].epoch} on by {segment.num_workers} (attempt {segment.commits[0].attempt})"
        for segment in segments
    )
    return f"replayed with as many workers as it was trained with: {', '.join(shown)}"


def _last_of(folder: StageFolder) -> dict[str, Any]:
    try:
        checkpoint = load_last(folder)
    except FileNotFoundError:
        checkpoint = None
    if checkpoint is None:
        raise NothingToCompare(f"the checkpoint that the stage started from has been removed ({folder.path})")
    return checkpoint


def _difference(commit: Commit, step: Step) -> dict[str, Any] | None:
    """Return the first difference between a step and its commit; None where there is none."""
    for key in sorted(set(commit.metrics) | set(step.metrics)):
        then, now = commit.metrics.get(key), step.metrics.get(key)
        if then != now and not key.endswith(TIMES):
            return {"step": commit.epoch, "what": key, "published": then, "replayed": now}
    if commit.weights_sha256 != step.weights_sha256:
        hashes = {"published": commit.weights_sha256, "replayed": step.weights_sha256}
        return {"step": commit.epoch, "what": "weights_sha256", **hashes}
    return None
