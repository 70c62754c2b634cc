"""Which of an arm's configurations stands for it: the one that is best on the validation set, over its seeds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from service.results.comparison import Result


@dataclass(frozen=True)
class Tried:
    """One configuration of an arm: its results by seed, and the validation accuracy at each, where there is one.

    `number` is the configuration's within its arm, from 0.
    """

    configuration: Mapping[str, Any]
    results: Mapping[int, Result]
    validation: Mapping[int, float]
    number: int = 0

    @property
    def val_accuracy(self) -> float | None:
        """Mean over the seeds; None without a validation set."""
        return fmean(self.validation.values()) if self.validation else None


def chosen(tried: Iterable[Tried]) -> Tried | None:
    """The best by validation accuracy among those with results at the most seeds; the first of equals.

    A mean over fewer seeds is no match for one over more: as long as seeds are missing, or where a chain has failed,
    its configuration waits behind those that are complete.
    """
    candidates = [each for each in tried if each.results]
    most = max((len(each.results) for each in candidates), default=0)
    complete = [each for each in candidates if len(each.results) == most]
    return max(complete, key=lambda each: each.val_accuracy or 0.0, default=None)
