"""What figures are drawn from: the curves of stages, the differences of pairs, and the configurations of a search."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import fmean, stdev

# Arms beyond this number are left out of a figure: nobody can tell so many lines apart.
MAX_DRAWN = 16
TRAIN, TIME_SWEEP, ENERGY, LANDSCAPE = "train", "time_sweep", "energy", "landscape"


@dataclass(frozen=True)
class ArmSeries:
    """The curves of one stage of one chain.

    Attributes:
        arm: The chain's arm.
        seed: The chain's seed.
        stage: The stage's index in the arm.
        kind: The stage's kind.
        T: The stage's number of time steps; None if an analysis varies it.
        steps: The epochs of a training, the T of a time sweep or an energy analysis, the rows of a landscape.
        values: The values of each metric, one for each step; NaN where there is none. Accuracies are fractions.
    """

    arm: str
    seed: int
    stage: int
    kind: str
    T: int | None
    steps: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class PairDifferences:
    """The differences of an arm to another one, seed by seed, in percentage points; `verdict` is in words.

    `low` and `high` bound the interval of the mean; None if there is none.
    """

    arm: str
    to: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True)
class TriedPoint:
    """A configuration of a search: its number within the arm, and its validation accuracy, a fraction."""

    arm: str
    number: int
    val_accuracy: float
    is_chosen: bool


@dataclass(frozen=True)
class FigureData:
    """Everything that the figures of an experiment show.

    Attributes:
        arms: The names of all arms, in the order of the spec. The place of a name decides its colour.
        baseline: The arm that the others are compared with.
        series: The curves of the chains that count: those that have succeeded, in a search those of the chosen
            configurations.
        pairs: The differences of the pairs of arms.
        margin: The largest difference that does not count, in percentage points; None: there is no margin.
        tried: The configurations of a search; empty without one.
    """

    arms: tuple[str, ...]
    baseline: str
    series: tuple[ArmSeries, ...] = ()
    pairs: tuple[PairDifferences, ...] = ()
    margin: float | None = None
    tried: tuple[TriedPoint, ...] = ()

    @property
    def drawn(self) -> tuple[str, ...]:
        """The arms that figures show: the first ones, and the baseline."""
        first = self.arms[:MAX_DRAWN]
        return first if self.baseline in first else (*first[:-1], self.baseline)

    def of(self, kind: str, arm: str) -> list[ArmSeries]:
        """Return the series of one kind of stage of an arm, in the order of seeds and stages."""
        found = [each for each in self.series if each.kind == kind and each.arm == arm]
        return sorted(found, key=lambda each: (each.seed, each.stage))

    def last_of(self, kind: str, arm: str) -> list[ArmSeries]:
        """Return the last stage of a kind of each seed of an arm."""
        return [*{each.seed: each for each in self.of(kind, arm)}.values()]

    def has(self, kind: str, metric: str) -> bool:
        """Return whether a stage of this kind has a value of a metric."""
        return any(
            isfinite(value)
            for each in self.series
            if each.kind == kind and each.arm in self.drawn
            for value in each.values.get(metric, ())
        )


@dataclass(frozen=True)
class Band:
    """The mean of an arm's seeds at each step, and the standard deviation of the sample.

    `stds` has NaN where fewer than two seeds have a value; `n` is the largest number of seeds at a step.
    """

    steps: tuple[int, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    n: int

    @property
    def last(self) -> float:
        """The last mean that is a number; NaN if there is none."""
        return next((mean for mean in reversed(self.means) if isfinite(mean)), nan)


def band_of(series: Sequence[ArmSeries], metric: str, scale: float = 1.0) -> Band:
    """Return the mean of a metric over the seeds, times `scale`.

    Args:
        series: One series for each seed.
        metric: The metric's name.
        scale: The factor of all values, such as 100 for percent.
    """
    at: dict[int, list[float]] = {}
    for each in series:
        for step, value in zip(each.steps, each.values.get(metric, ()), strict=False):
            if isfinite(value):
                at.setdefault(step, []).append(scale * value)
    steps = tuple(sorted(at))
    means = tuple(fmean(at[step]) for step in steps)
    stds = tuple(stdev(at[step]) if len(at[step]) > 1 else nan for step in steps)
    return Band(steps, means, stds, max(map(len, at.values()), default=0))


@dataclass(frozen=True)
class JoinedTraining:
    """The training of an arm over all of its stages: epochs count over the chain.

    `switches` are the last epochs of all stages but the last one.
    """

    series: tuple[ArmSeries, ...]
    switches: tuple[int, ...]


def training_of(data: FigureData, arm: str) -> JoinedTraining:
    """Return the training of each seed of an arm, its train stages joined."""
    of_seed: dict[int, list[ArmSeries]] = {}
    for each in data.of(TRAIN, arm):
        of_seed.setdefault(each.seed, []).append(each)
    switches: tuple[int, ...] = ()
    joined = []
    for stages in of_seed.values():
        ends = [*_ends(stages)]
        switches = max(switches, tuple(ends[:-1]), key=len)
        joined.append(_joined(stages, [0, *ends]))
    return JoinedTraining(tuple(joined), switches)


def _ends(stages: Sequence[ArmSeries]) -> Iterator[int]:
    """Yield the epoch of the chain at which each stage ends."""
    end = 0
    for stage in stages:
        end += stage.steps[-1] if stage.steps else 0
        yield end


def _joined(stages: Sequence[ArmSeries], starts: Sequence[int]) -> ArmSeries:
    first = stages[0]
    names = {name for stage in stages for name in stage.values}
    steps = tuple(start + step for stage, start in zip(stages, starts, strict=False) for step in stage.steps)
    values = {
        name: tuple(value for stage in stages for value in stage.values.get(name, (nan,) * len(stage.steps)))
        for name in sorted(names)
    }
    return ArmSeries(first.arm, first.seed, first.stage, first.kind, first.T, steps, values)
