"""Times of several functions that run alternately, so that a disturbance of the machine affects all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True)
class Times:
    """The times of one function in all rounds, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of all rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return (third - first) / 2 / self.median

    def over(self, other: "Times") -> float:
        """Return the median, over the rounds, of this time divided by the other function's time in the same round."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.seconds, other.seconds, strict=True))


def time_alternately(steps: Mapping[Key, Callable[[], object]], rounds: int) -> dict[Key, Times]:
    """Run each function once to warm up, then all functions in every round, starting at another function each time.

    Args:
        steps: The functions to time, by name.
        rounds: Number of rounds.

    Returns:
        The times of each function, by its name.
    """
    for step in steps.values():
        step()
    times: dict[Key, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            start_time = time.perf_counter()
            steps[name]()
            times[name].append(time.perf_counter() - start_time)
    return {name: Times(tuple(seconds)) for name, seconds in times.items()}
