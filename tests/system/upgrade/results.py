"""The results of an experiment, as plain values that can be compared."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Where = str  # the label of a chain or of a stage
Point = tuple[str, int, float]  # key, step, value


@dataclass
class Results:
    """The results of an experiment.

    Everything except the run ids and the attempts is the same each time that a spec runs on one machine.

    Attributes:
        states: Each stage's state and committed epochs.
        hashes: The hash of each stage's final weights.
        series: Each run's points, without times.
        times: The number of points of each time metric at each step.
        runs: The ids of the runs of each chain and stage; there should be one.
        attempts: The number of each stage's attempts.
    """

    states: dict[Where, str] = field(default_factory=dict)
    hashes: dict[Where, str] = field(default_factory=dict)
    series: dict[Where, list[Point]] = field(default_factory=dict)
    times: dict[Where, Counter[tuple[str, int]]] = field(default_factory=dict)
    runs: dict[Where, list[str]] = field(default_factory=dict)
    attempts: dict[Where, int] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the numbers of hashes, points and runs, as a text."""
        points = sum(map(len, self.series.values()))
        return f"{len(self.hashes)} hashes, {points} points, {sum(map(len, self.runs.values()))} runs"


def outcome(results: Results) -> Iterator[tuple[str, dict[Where, Any]]]:
    """Yield the results that are the same for every run of a spec, each with its name."""
    yield "state", results.states
    yield "weights", results.hashes
    yield "series", results.series
    yield "times", results.times
    yield "number of runs", {where: len(ids) for where, ids in results.runs.items()}
