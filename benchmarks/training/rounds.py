"""Timing several functions in turns, so that a disturbance of the machine affects all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True)
class Times:
    """The times of all rounds, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return (third - first) / 2 / self.median

    def over(self, other: "Times") -> float:
        """Return the median, over the rounds, of this time divided by the other of the same round."""
        return statistics.median(own / its for own, its in zip(self.seconds, other.seconds, strict=True))


def in_turns(steps: Mapping[Key, Callable[[], object]], rounds: int) -> dict[Key, Times]:
    """Run each function once to warm up, then all in every round; each round starts with another one.

    Args:
        steps: The functions to time, by name.
        rounds: How many rounds.

    Returns:
        Times by name.
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
