"""Decisions on pairs of arms while seeds are added.

In this module a pair is two arms. It is decided at the first seed at which its goal is reached.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import assert_never

from service.statistics.anytime import Interval, anytime_p, confidence_sequence
from service.statistics.level import ALPHA
from service.statistics.paired import paired_test
from service.statistics.verdict import JudgedPair, Verdict, Wording, p_in_words


@dataclass(frozen=True)
class StopGoal:
    """What is enough to decide a pair.

    Attributes:
        alpha: The significance level of this pair, for all of its seeds together: the experiment's level divided by the
            number of pairs.
        higher_is_better: Whether a larger value of the quantity is better.
        margin: The arms are equivalent once the confidence sequence lies within ±margin; None: they never are.
        half_width: The pair is decided once the confidence sequence is no wider than twice this, and not before; None:
            it is decided at its first verdict other than undecided.
    """

    alpha: float
    higher_is_better: bool = True
    margin: float | None = None
    half_width: float | None = None


def stop_goal(num_pairs: int, margin: float | None, half_width: float | None) -> StopGoal:
    """Return the goal of each pair of an experiment that compares test accuracies.

    The pairs share the level in equal parts (Bonferroni), so that all verdicts of an experiment are right with a
    probability of at least 95 %.
    """
    return StopGoal(ALPHA / num_pairs, margin=margin, half_width=half_width)


@dataclass(frozen=True)
class PairDecision:
    """A decided pair: it never changes, whatever later seeds show.

    Attributes:
        n: The number of seeds after which the pair was decided.
        verdict: The verdict; with a `half_width` it may be undecided, since the interval was the goal.
        low: Lower end of the confidence sequence at n; None if the arms are not comparable.
        high: Upper end.
    """

    n: int
    verdict: Verdict
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SeedOutcome:
    """The result of an arm at a seed: the value, and the hash of the weights that it started from, if recorded."""

    value: float
    initial_sha256: str | None = None

    def starts_like(self, other: "SeedOutcome") -> bool:
        """Return whether two arms may be paired at this seed: no record says that their initial weights differ."""
        return None in (self.initial_sha256, other.initial_sha256) or self.initial_sha256 == other.initial_sha256


def in_order(
    arm: Iterable[SeedOutcome | None], to: Iterable[SeedOutcome | None]
) -> list[tuple[SeedOutcome, SeedOutcome]]:
    """Return the outcomes of both arms at the first seeds, up to the first seed that one of them lacks."""
    both: list[tuple[SeedOutcome, SeedOutcome]] = []
    for one, other in zip(arm, to, strict=True):
        if one is None or other is None:
            break
        both.append((one, other))
    return both


def decide_arms(
    arm: Iterable[SeedOutcome | None], to: Iterable[SeedOutcome | None], goal: StopGoal
) -> PairDecision | None:
    """Return the decision on an arm against another; None if there is none yet.

    A seed that one of the arms lacks blocks the pair: later seeds are not looked at, since the seeds that fail may be
    those with low results. If the arms start from different weights at a seed before the pair is decided, they are not
    comparable.

    Args:
        arm: The arm's outcome at each seed in numeric order; None: it has none.
        to: The same of the other arm.
        goal: What is enough.
    """
    both = in_order(arm, to)
    alike = [one.value - other.value for one, other in takewhile(lambda pair: pair[0].starts_like(pair[1]), both)]
    decision = decide_pair(alike, goal)
    if decision is None and len(alike) < len(both):
        return PairDecision(len(alike) + 1, Verdict.NOT_COMPARABLE)
    return decision


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


def judge_growing(differences: Sequence[float], goal: StopGoal, num_pairs: int) -> JudgedPair:
    """Judge a pair by its differences so far. The result stays valid although it is computed after every seed.

    `low` and `high` are the ends of the confidence sequence, `p` is the anytime p, and `p_holm` is `p` times the number
    of pairs (Bonferroni). `p_sign_flip` and `detectable` are None: they are valid only for a number of seeds
    that was fixed in advance.

    Args:
        differences: The differences, arm minus other arm, in the order of the seeds. Those after the decision are not
            used.
        goal: What is enough.
        num_pairs: The number of pairs of the experiment.
    """
    decision = decide_pair(differences, goal)
    used = differences if decision is None else differences[: decision.n]
    *_, interval = Interval(None, None), *confidence_sequence(used, goal.alpha)
    p = anytime_p(used) if used else None
    test = replace(paired_test(used), low=interval.low, high=interval.high, p=p, p_sign_flip=None, detectable=None)
    verdict = Verdict.UNDECIDED if decision is None else decision.verdict
    return JudgedPair(test, None if p is None else min(1.0, num_pairs * p), None, verdict)


def growing_sentence(arm: str, to: str, pair: JudgedPair, wording: Wording, margin: float | None) -> str:
    """Return what a judged pair says, as a sentence for people.

    Args:
        arm: The arm's name.
        to: The name of the arm that it is compared with.
        pair: The pair, as `judge_growing` returns it.
        wording: How differences are written.
        margin: The margin of equivalence; None: there is none.
    """
    test = pair.test
    seeds = "1 seed" if test.n == 1 else f"{test.n} seeds"
    if pair.verdict is Verdict.NOT_COMPARABLE:
        return f"{arm} and {to} cannot be compared."
    if test.difference is None or test.low is None or test.high is None or pair.p_holm is None:
        return f"{arm} against {to} is undecided: {seeds} cannot decide anything yet."
    interval, p = f"[{wording.number(test.low)}, {wording.number(test.high)}]", f"anytime p={p_in_words(pair.p_holm)}"
    match pair.verdict:
        case Verdict.BETTER | Verdict.WORSE:
            by = wording.with_unit(abs(test.difference))
            head = f"{arm} is {pair.verdict} than {to} by {by}, decided after {seeds}"
            return f"{head}: the difference is in {interval}, {p}."
        case Verdict.EQUIVALENT:
            assert margin is not None
            within = f"within ±{wording.with_unit(margin)}"
            return f"{arm} and {to} are equivalent {within}, decided after {seeds}: the difference is in {interval}."
        case Verdict.UNDECIDED:
            return f"{arm} against {to} is undecided after {seeds}: the difference is in {interval}, {p}."
        case unknown:
            assert_never(unknown)


def _verdict(interval: Interval, goal: StopGoal) -> Verdict:
    """Return the verdict of an interval; equivalence goes first, as for a fixed number of seeds."""
    assert interval.low is not None
    assert interval.high is not None
    if goal.margin is not None and -goal.margin < interval.low and interval.high < goal.margin:
        return Verdict.EQUIVALENT
    if interval.low <= 0 <= interval.high:
        return Verdict.UNDECIDED
    return Verdict.BETTER if (interval.low > 0) == goal.higher_is_better else Verdict.WORSE
