"""Timing several things against each other: in turns, so that what disturbs the machine disturbs all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True)
class Times:
    """Seconds of each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return (third - first) / 2 / self.median

    def over(self, other: "Times") -> float:
        """The median, over the rounds, of how much longer this took than the other of the same round."""
        return statistics.median(own / its for own, its in zip(self.seconds, other.seconds, strict=True))


def in_turns(steps: Mapping[Key, Callable[[], object]], rounds: int) -> dict[Key, Times]:
    """Run each once to warm up, then all in every round, each round beginning with another one.

    Args:
        steps: What is timed, by name.
        rounds: How often.
    """
    for step in steps.values():
        step()
    found: dict[Key, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            begun = time.perf_counter()
            steps[name]()
            found[name].append(time.perf_counter() - begun)
    return {name: Times(tuple(seconds)) for name, seconds in found.items()}
