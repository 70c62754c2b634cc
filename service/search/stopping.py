"""Early stopping: a configuration is compared with the others of its arm on the validation set, at equal progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from service.spec.search import Asha, EarlyStopping

# Mean validation accuracy over the seeds, by epoch, from the first of a stage.
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
        own: Its validation accuracy, a fraction, in each epoch of the stage up to this one.
        others: The same for the configurations that reached this epoch before it.
    """
    if isinstance(rule, Asha):
        return _at_a_rung(own[-1], [other[-1] for other in others], rule.reduction_factor)
    return _beside_the_median(max(own), [fmean(other) for other in others], rule.min_others)


def _at_a_rung(value: float, others: Sequence[float], factor: int) -> Judgement:
    """Let the best `n / factor` of the `n` that were here continue, rounded up; of equals the one that came first."""
    num_here = len(others) + 1
    room = -(-num_here // factor)
    place = 1 + sum(other >= value for other in others)
    words = f"{value:.2%} on validation is number {place} of {num_here} that got here"
    return Judgement(place <= room, f"{words}; the best {room} go on" if room > 1 else f"{words}; the best goes on")


def _beside_the_median(best: float, averages: Sequence[float], min_others: int) -> Judgement:
    if len(averages) < min_others:
        return Judgement(True, f"{len(averages)} others got here; fewer than {min_others} say nothing")
    middle = median(averages)
    words = f"its best {best:.2%} on validation, the median of {len(averages)} others' averages {middle:.2%}"
    return Judgement(best >= middle, words)
