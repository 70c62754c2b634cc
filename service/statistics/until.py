"""Decisions on pairs of arms while seeds are added.

In this module a pair is two arms. It is decided at the first seed at which its goal is reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.statistics.anytime import Interval, confidence_sequence
from service.statistics.verdict import Verdict


@dataclass(frozen=True)
class StopGoal:
    """What is enough to decide a pair.

    Attributes:
        alpha: The level of this pair over all looks: that of the experiment divided by its number of pairs.
        higher_is_better: Whether a larger value of the quantity is better.
        margin: The arms are equivalent once the confidence sequence lies within ±margin; None: they never are.
        half_width: The pair is decided once the confidence sequence is no wider than twice this, and not before; None:
            it is decided once its verdict is not undecided.
    """

    alpha: float
    higher_is_better: bool = True
    margin: float | None = None
    half_width: float | None = None


@dataclass(frozen=True)
class PairDecision:
    """A decided pair: it never changes, whatever later seeds show.

    Attributes:
        n: The number of seeds that decided.
        verdict: The verdict; with a `half_width` it may be undecided, since the interval was the goal.
        low: Lower end of the confidence sequence at n.
        high: Upper end.
    """

    n: int
    verdict: Verdict
    low: float
    high: float


def decide_pair(differences: Sequence[float], goal: StopGoal) -> PairDecision | None:
    """Return the decision at the first seed at which the goal is reached; None if it is not reached yet.

    Args:
        differences: The differences, arm minus other arm, in the order of the seeds. Each is looked at once, in turn,
            so the decision does not depend on how many seeds have ended.
        goal: What is enough.
    """
    for n, interval in enumerate(confidence_sequence(differences, goal.alpha), start=1):
        if interval.low is None or interval.high is None:
            continue
        verdict = _verdict(interval, goal)
        if goal.half_width is None:
            reached = verdict is not Verdict.UNDECIDED
        else:
            reached = interval.high - interval.low <= 2 * goal.half_width
        if reached:
            return PairDecision(n, verdict, interval.low, interval.high)
    return None


def _verdict(interval: Interval, goal: StopGoal) -> Verdict:
    """Return the verdict of an interval; equivalence goes first, as for a fixed number of seeds."""
    assert interval.low is not None
    assert interval.high is not None
    if goal.margin is not None and -goal.margin < interval.low and interval.high < goal.margin:
        return Verdict.EQUIVALENT
    if interval.low <= 0 <= interval.high:
        return Verdict.UNDECIDED
    return Verdict.BETTER if (interval.low > 0) == goal.higher_is_better else Verdict.WORSE
