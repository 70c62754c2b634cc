"""What is best where two things count: the front of those that no other beats in both."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class Point:
    """What is to be high, and what is to be low beside it."""

    accuracy: float
    cost: float

    def beats(self, other: "Point") -> bool:
        """Whether it is at least as good in both, and better in one."""
        as_good = self.accuracy >= other.accuracy and self.cost <= other.cost
        return as_good and self != other


T = TypeVar("T")


def front(points: Iterable[tuple[Point, T]]) -> list[tuple[Point, T]]:
    """Those that no other beats, from the cheapest to the most accurate; of equals all."""
    ordered = sorted(points, key=lambda each: (each[0].cost, -each[0].accuracy))
    kept: list[tuple[Point, T]] = []
    for point, what in ordered:
        if not kept or point.accuracy > kept[-1][0].accuracy or point == kept[-1][0]:
            kept.append((point, what))
    return kept
