"""The verdict on a pair of arms, and the sentence that says it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from service.statistics.level import ALPHA
from service.statistics.paired import PairedTest, equivalence_p, holm, paired_test, seeds_needed
from service.statistics.sign_flip import smallest_p


class Verdict(StrEnum):
    """What the seeds say about an arm against another."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True)
class JudgedPair:
    """A pair of arms with its test and verdict.

    Attributes:
        test: The paired test.
        p_holm: The t test's p, adjusted for all pairs of the experiment; None where p is.
        p_equivalence: The p that the arms are equivalent, adjusted in the same way; None without a margin.
        verdict: The verdict.
    """

    test: PairedTest
    p_holm: float | None
    p_equivalence: float | None
    verdict: Verdict


def judge(pairs: Sequence[Sequence[float] | None], *, higher_is_better: bool, margin: float | None) -> list[JudgedPair]:
    """Test all pairs of an experiment together, for a number of seeds that was fixed in advance.

    A pair is better or worse if `p_holm` is at most 0.05, and equivalent if `p_equivalence` is at most 0.05. If both
    hold, it is equivalent, because the spec's margin says that smaller differences do not count.

    Args:
        pairs: The differences of each pair, arm minus other arm; None: the two arms cannot be paired.
        higher_is_better: Whether a larger value of the quantity is better.
        margin: The largest difference that does not count; None: equivalence is not tested.
    """
    tests = [paired_test(each or (), num_pairs=len(pairs)) for each in pairs]
    different = holm([test.p for test in tests])
    equivalent = holm([None if margin is None else equivalence_p(each or (), margin) for each in pairs])
    return [
        JudgedPair(test, p, q, _verdict(each is not None, test, p, q, higher_is_better))
        for each, test, p, q in zip(pairs, tests, different, equivalent, strict=True)
    ]


def _verdict(
    comparable: bool, test: PairedTest, p_holm: float | None, p_equivalence: float | None, higher_is_better: bool
) -> Verdict:
    if not comparable:
        return Verdict.NOT_COMPARABLE
    if p_equivalence is not None and p_equivalence <= ALPHA:
        return Verdict.EQUIVALENT
    if p_holm is None or p_holm > ALPHA or not test.difference:
        return Verdict.UNDECIDED
    return Verdict.BETTER if (test.difference > 0) == higher_is_better else Verdict.WORSE


@dataclass(frozen=True)
class Wording:
    """How differences of a quantity are written.

    Attributes:
        number: Writes a difference without its unit, such as 0.018 as "1.8".
        unit: The unit, such as "points"; empty if there is none.
        step: A difference that a reader understands, for "1 point takes about 9 seeds".
        step_name: That difference in words, such as "1 point".
    """

    number: Callable[[float], str]
    unit: str
    step: float
    step_name: str

    def with_unit(self, difference: float) -> str:
        """Return a difference with its unit."""
        return f"{self.number(difference)} {self.unit}".rstrip()


def sentence(arm: str, to: str, pair: JudgedPair, wording: Wording, margin: float | None, num_pairs: int) -> str:
    """Return the verdict as a sentence for people.

    Args:
        arm: The arm's name.
        to: The name of the arm that it is compared with.
        pair: The judged pair.
        wording: How differences are written.
        margin: As for `judge`.
        num_pairs: The number of pairs of the experiment.
    """
    test = pair.test
    match pair.verdict:
        case Verdict.NOT_COMPARABLE:
            return f"{arm} and {to} cannot be compared."
        case Verdict.BETTER | Verdict.WORSE:
            assert test.difference is not None
            amount = wording.with_unit(abs(test.difference))
            return f"{arm} is {pair.verdict} than {to} by {amount}{_evidence(pair, wording)}."
        case Verdict.EQUIVALENT:
            assert margin is not None
            within = f"within ±{wording.with_unit(margin)}"
            return f"{arm} and {to} are equivalent {within}{_evidence(pair, wording)}."
        case Verdict.UNDECIDED:
            return f"{arm} against {to} is undecided: {_undecided(test, wording, num_pairs)}"
        case unknown:
            assert_never(unknown)


def _evidence(pair: JudgedPair, wording: Wording) -> str:
    test = pair.test
    p = pair.p_equivalence if pair.verdict is Verdict.EQUIVALENT else pair.p_holm
    assert p is not None
    if test.low is None or test.high is None:
        return f", n={test.n}, p={p_in_words(p)}"
    ends = sorted((test.low, test.high), key=abs) if test.low * test.high > 0 else [test.low, test.high]
    if pair.verdict is not Verdict.EQUIVALENT:  # the sentence has said the direction
        ends = [abs(end) for end in ends]
    return f" [{wording.number(ends[0])}, {wording.number(ends[1])}], n={test.n}, p={p_in_words(p)}"


def _undecided(test: PairedTest, wording: Wording, num_pairs: int) -> str:
    if test.n == 0:
        return "no seed has a result of both arms yet."
    if test.n == 1:
        return "one seed does not show how much results vary from seed to seed; about five seeds give an answer."
    if test.std is None or test.detectable is None:
        if test.difference == 0:
            return f"all {test.n} differences are zero."
        p = p_in_words(smallest_p(test.n))
        return (
            f"all {test.n} differences are equal, so their spread is unknown; {test.n} seeds prove no more than p={p}."
        )
    least = wording.with_unit(test.detectable)
    found = f"these {test.n} seeds would have found a difference of {least} or more"
    if test.detectable <= wording.step:
        return f"{found}."
    needed = seeds_needed(test.std, wording.step, num_pairs)
    return f"{found}; {wording.step_name} takes {'more than 10,000' if needed is None else f'about {needed}'} seeds."


def p_in_words(p: float) -> str:
    """Return a p value with two digits; below 0.001 only that."""
    return "0.001 or less" if p <= 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"
