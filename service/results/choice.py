"""The choice of the configuration that stands for an arm of a search: in the comparison, progress and rerun-best."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Candidate(Protocol):
    """A configuration of an arm, with the two properties that the choice depends on."""

    @property
    def num_results(self) -> int:
        """Return the number of seeds at which its chain has succeeded."""

    @property
    def val_accuracy(self) -> float | None:
        """Return the mean validation accuracy over these seeds; None without a validation set."""


C = TypeVar("C", bound=Candidate)


def best_of(candidates: Iterable[C]) -> C | None:
    """Return the configuration with the highest validation accuracy, among those with results at the most seeds.

    A configuration with results at all of its seeds is preferred to every other one. If each configuration has failed
    at a seed or waits for one, those with the most results are compared. The others are not, since a mean over fewer
    seeds may be high because of one lucky seed. Of equal configurations, return the first; without any result, None.
    """
    with_results = [each for each in candidates if each.num_results]
    most = max((each.num_results for each in with_results), default=0)
    comparable = [each for each in with_results if each.num_results == most]
    return max(comparable, key=lambda each: each.val_accuracy or 0.0, default=None)
