"""The replay of a stage from its start, and the bit-by-bit comparison of its metrics and weights with the journal.

Two trainings give the same bits only if they have the same number of workers. If the number of workers of a stage
changed at an epoch, the replay changes it at the same epoch. The replay then continues from its own checkpoint, whose
weights were already compared with the journal.
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
from tet_core.inventory import IMAGE_READER
from tet_core.measure.energy import VAL_ENERGY_J
from tet_core.train.epochs import NUM_WORKERS, Epochs

# The endings of metrics that measure time. These metrics are not compared.
TIMES = ("_s", "_per_s")
# The values for environments without these keys, such as those of analyses, and those that an earlier version stored.
# The earlier version had one worker and the first reader of image files.
_BEFORE = {NUM_WORKERS: 1, IMAGE_READER: 1}

# A function that takes a number of workers and returns a context in which these workers run. The context may end before
# the stage does. Its value is the workers' process group, or None if this process is the only worker.
Gather = Callable[[int], AbstractContextManager[ProcessGroup | None]]


class NothingToCompare(StageFailed):
    """The failure of a replay that lacks a commit to compare with, or the checkpoint to start from."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureType.DATA, message)


@dataclass(frozen=True)
class Step:
    """An epoch or a row of the replay."""

    number: int
    metrics: Mapping[str, float]
    weights_sha256: str


@dataclass(frozen=True)
class Segment:
    """Successive commits by the same number of workers, in one or several attempts."""

    num_workers: int
    commits: tuple[Commit, ...]


@dataclass(frozen=True)
class Rerun:
    """A segment that is being trained or analysed again.

    Attributes:
        differences: The differences between the environment of the commits and that of the replay, one line each.
        steps: The epochs or rows. Each is computed when the iterator reaches it.
    """

    differences: list[str]
    steps: Iterator[Step]


def segments_of(progress: StageProgress) -> tuple[Segment, ...]:
    """Return the commits of a stage, grouped by the number of workers. The commits of an analysis are one segment."""
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
        """Read the commits of the stage; `gather` provides the workers that train it again.

        Raises:
            NothingToCompare: The stage has committed nothing.
        """
        self._plan, self._data_root, self._gather = chain.stages[stage], data_root, gather
        self._published = read_progress(folder.stage(chain.id, stage))
        if not self._published.commits:
            raise NothingToCompare("the stage has committed nothing that could be compared")
        self._before = previous_stage(folder, chain, stage)
        self._checkpoint: dict[str, Any] | None = None

    def run(self) -> dict[str, Any]:
        """Replay the commits up to the first difference; return the result in its stored form."""
        segments = segments_of(self._published)
        for segment in segments:
            with self._gather(segment.num_workers) as group:
                rerun = self._rerun(segment, group)
                num_compared, difference = _compare(segment, rerun.steps)
            comparison = {
                "num_compared": num_compared,
                "first_difference": difference,
                "environment": rerun.differences,
            }
            if difference is not None:
                where = f" (environment: {'; '.join(rerun.differences)})" if rerun.differences else ""
                reason = f"{difference['what']} of {difference['step']} differs{where}"
                return {"state": VerificationState.DIFFERENT.value, "reason": reason, **comparison}
        sha256 = self._published.commits[-1].weights_sha256
        state = VerificationState.EQUAL.value
        return {"state": state, "reason": _in_words(segments), **comparison, "weights_sha256": sha256}

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
        """Return the differences between this environment and that of an attempt, one line each."""
        started = self._published.started
        then = next((each for each in started if each.attempt == attempt), started[0]).environment
        return environment.differences({**_BEFORE, **then}, {**_BEFORE, **now})


def _compare(segment: Segment, steps: Iterator[Step]) -> tuple[int, dict[str, Any] | None]:
    """Return the last epoch or row that was compared, and the first difference (None if there is none)."""
    for commit in segment.commits:
        if (difference := _difference(commit, next(steps))) is not None:
            return commit.epoch, difference
    return segment.commits[-1].epoch, None


def _in_words(segments: tuple[Segment, ...]) -> str:
    """Return how many workers replayed which epochs; an empty text if the number of workers did not change."""
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
    """Return the first difference between a step and its commit, or None."""
    for key in sorted(set(commit.metrics) | set(step.metrics)):
        then, now = commit.metrics.get(key), step.metrics.get(key)
        if then != now and not key.endswith(TIMES):
            return {"step": commit.epoch, "what": key, "published": then, "replayed": now}
    if commit.weights_sha256 != step.weights_sha256:
        hashes = {"published": commit.weights_sha256, "replayed": step.weights_sha256}
        return {"step": commit.epoch, "what": "weights_sha256", **hashes}
    return None
