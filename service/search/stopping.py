"""Early stopping: a configuration is compared with the others of its arm on the validation set, at the same epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from service.spec.search import Asha, EarlyStopping

# Mean validation accuracy over the seeds, by epoch, from the first epoch of a stage.
History = Sequence[float]


@dataclass(frozen=True)
class Judgement:
    """Whether a configuration continues, and why."""

    goes_on: bool
    reason: str


def judged(rule: EarlyStopping, own: History, others: Sequence[History]) -> Judgement:
    """Judge a configuration at the epoch that it has reached.

    Args:
        rule: The early stopping of the spec.
        own: The configuration's validation accuracy, a fraction, in each epoch of the stage up to this one.
        others: The same for each configuration that reached this epoch earlier.
    """
    if isinstance(rule, Asha):
        return _at_a_rung(own[-1], [other[-1] for other in others], rule.reduction_factor)
    return _against_the_median(max(own), [fmean(other) for other in others], rule.min_others)


def _at_a_rung(value: float, others: Sequence[float], factor: int) -> Judgement:
    """Judge at a rung: of the `n` configurations that have reached it, the best `n / factor` (rounded up) continue.

    Of two equal configurations, the earlier one counts as better.
    """
    num_here = len(others) + 1
    num_best = -(-num_here // factor)
    place = 1 + sum(other >= value for other in others)
    words = f"{value:.2%} on validation is number {place} of {num_here} that reached this rung"
    rule = f"the best {num_best} continue" if num_best > 1 else "the best one continues"
    return Judgement(place <= num_best, f"{words}; {rule}")


def _against_the_median(best: float, averages: Sequence[float], min_others: int) -> Judgement:
    if len(averages) < min_others:
        return Judgement(True, f"{len(averages)} others reached this epoch; the median needs {min_others}")
    middle = median(averages)
    words = (
        f"its best accuracy on validation is {best:.2%}; the median of {len(averages)} others' means is {middle:.2%}"
    )
    return Judgement(best >= middle, words)
