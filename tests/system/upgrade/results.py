"""The results of an experiment, as plain values that can be compared."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Where = str  # a chain or one of its stages, in words
Point = tuple[str, int, float]  # key, step, value


@dataclass
class Results:
    """The results of an experiment.

    All but the run ids and the attempts is the same each time that a spec is run on one machine.

    Attributes:
        states: Of each stage, with the epochs committed.
        hashes: Each stage's final weights.
        series: Each run's points, times apart.
        times: How often each time has a point at each step.
        runs: The ids of the runs of each chain and stage: one each.
        attempts: Each stage's.
    """

    states: dict[Where, str] = field(default_factory=dict)
    hashes: dict[Where, str] = field(default_factory=dict)
    series: dict[Where, list[Point]] = field(default_factory=dict)
    times: dict[Where, Counter[tuple[str, int]]] = field(default_factory=dict)
    runs: dict[Where, list[str]] = field(default_factory=dict)
    attempts: dict[Where, int] = field(default_factory=dict)

    def told(self) -> str:
        """Say how much there is."""
        points = sum(map(len, self.series.values()))
        return f"{len(self.hashes)} hashes, {points} points, {sum(map(len, self.runs.values()))} runs"


def outcome(results: Results) -> Iterator[tuple[str, dict[Where, Any]]]:
    """Yield what is the same for every run of a spec."""
    yield "state", results.states
    yield "weights", results.hashes
    yield "series", results.series
    yield "times", results.times
    yield "number of runs", {where: len(ids) for where, ids in results.runs.items()}
