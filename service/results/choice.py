"""The rule that says which configuration stands for an arm of a search: one for comparison, progress and rerun-best."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Candidate(Protocol):
    """A configuration of an arm, as far as the choice looks at it."""

    @property
    def num_results(self) -> int:
        """Return the number of seeds at which its chain has succeeded."""

    @property
    def val_accuracy(self) -> float | None:
        """Return the mean validation accuracy over these seeds; None where there is none."""


C = TypeVar("C", bound=Candidate)


def best_of(candidates: Iterable[C]) -> C | None:
    """Return the configuration with the highest validation accuracy, among those with results at the most seeds.

    So a configuration with results at all its seeds goes before every other one. Where each has lost a seed, or waits
    for one, those with the most results are compared: a mean over fewer seeds is no match for one over more, since it
    may owe its height to one lucky seed. Of equals the first one is taken; without any result there is no choice.
    """
    with_results = [each for each in candidates if each.num_results]
    most = max((each.num_results for each in with_results), default=0)
    complete = [each for each in with_results if each.num_results == most]
    return max(complete, key=lambda each: each.val_accuracy or 0.0, default=None)
