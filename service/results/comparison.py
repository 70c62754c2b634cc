"""The comparison of an experiment: each arm over its seeds, and each arm against the baseline, seed by seed.

At one seed all arms share initial weights, data order and augmentation draws, so the arms do not differ because of
these draws. The interval is Student's t over the differences between an arm and the baseline, one for each seed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from service.events import ClassCounts
from service.results.growing import CountedSeeds, GrowingRule, counted_seeds
from service.results.seeds import MissingSeeds, SeedState, missing_in_words, missing_seeds
from service.states import WorkState
from service.statistics.paired import interval_of_mean
from service.statistics.until import SeedOutcome
from service.statistics.verdict import JudgedPair, Verdict, judge

QUANTITY = "test/accuracy"


@dataclass(frozen=True)
class Result:
    """The result of one chain.

    Attributes:
        value: The value that is compared: by default the test accuracy after its last epoch, a fraction.
        train_time_s: Training time of all its committed epochs, in s.
        initial_sha256: Hash of the weights that its first stage started from; None if it was not recorded.
        test_set: The counts of the test set; None if they were not recorded.
    """

    value: float
    train_time_s: float
    initial_sha256: str | None = None
    test_set: ClassCounts | None = None


@dataclass(frozen=True)
class SeedValue:
    """A value at one seed."""

    seed: int
    value: float


@dataclass(frozen=True)
class PairedDifference:
    """An arm's values minus those of the arm `to`, over the `n` seeds present in both.

    `differences` has the difference at each of these seeds, and `missing` says why the other seeds have none. `low`,
    `high`, `d_z`, `p`, `p_sign_flip` and `detectable` are those of `service.statistics.paired.PairedTest`. `p_holm` is
    `p`, adjusted for all pairs of the comparison; the verdict follows from it. If the arms are not paired, `reason`
    says why, and the numbers are None.
    """

    to: str
    difference: float | None
    low: float | None
    high: float | None
    n: int
    differences: tuple[SeedValue, ...] = ()
    missing: tuple[MissingSeeds, ...] = ()
    d_z: float | None = None
    p: float | None = None
    p_holm: float | None = None
    p_sign_flip: float | None = None
    detectable: float | None = None
    verdict: Verdict = Verdict.UNDECIDED
    reason: str | None = None
    is_apart: bool = False  # the arms started from different weights at a seed
    decided_at: int | None = None  # the seed that decided the pair, if seeds were added until then
    judged: JudgedPair | None = None  # what the numbers and the verdict are read from


@dataclass(frozen=True)
class ArmResult:
    """The result of an arm. `n` of its `n_wanted` seeds have a result; `values` are the values at these seeds.

    `std` is the standard deviation of the sample; `low` and `high` bound the 95 % interval of the mean. `test_set` is
    None if it was not recorded, or not the same for all seeds.
    """

    name: str
    n: int
    n_wanted: int
    num_failed: int
    num_cancelled: int
    num_stopped: int
    values: tuple[SeedValue, ...]
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    train_time_s: float | None
    test_set: ClassCounts | None
    versus_baseline: PairedDifference | None
    beyond: tuple[SeedValue, ...] = ()  # values that do not count, since no decision has used them


@dataclass(frozen=True)
class FurtherPair:
    """A pair whose arm is compared with several others: `versus_baseline` of the arm has only its first pair."""

    arm: str
    versus: PairedDifference


@dataclass(frozen=True)
class Comparison:
    """All arms of an experiment, in the spec's order, and the pairs that the arms themselves do not show."""

    quantity: str
    baseline: str
    arms: tuple[ArmResult, ...]
    further_pairs: tuple[FurtherPair, ...] = ()

    def pairs(self) -> list[tuple[str, PairedDifference]]:
        """Return all pairs, each with the name of its arm."""
        first = [(arm.name, arm.versus_baseline) for arm in self.arms if arm.versus_baseline is not None]
        return [*first, *((each.arm, each.versus) for each in self.further_pairs)]


@dataclass(frozen=True)
class ComparedArm:
    """An arm to compare: the state at each seed, in the spec's order, and the results of the seeds that have one."""

    name: str
    seeds: Mapping[int, SeedState]
    results: Mapping[int, Result]


@dataclass(frozen=True)
class Question:
    """What is asked about the arms.

    Attributes:
        quantity: The name of the quantity.
        higher_is_better: Whether a larger value is better.
        margin: The largest difference that does not count; None: equivalence is not tested.
        pairs: The names of an arm and of the arm that it is compared with; None: every arm with the baseline.
    """

    quantity: str = QUANTITY
    higher_is_better: bool = True
    margin: float | None = None
    pairs: tuple[tuple[str, str], ...] | None = None

    def pairs_of(self, arms: Sequence[ComparedArm], baseline: str) -> list[tuple[ComparedArm, ComparedArm]]:
        """Return the arms of each pair."""
        by_name = {arm.name: arm for arm in arms}
        names = self.pairs or tuple((arm.name, baseline) for arm in arms if arm.name != baseline)
        return [(by_name[arm], by_name[to]) for arm, to in names]


DEFAULT_QUESTION = Question()


def compare_arms(
    arms: Sequence[ComparedArm],
    baseline: str,
    rule: GrowingRule | None = None,
    question: Question = DEFAULT_QUESTION,
) -> Comparison:
    """Compare the arms by the chains that have succeeded so far.

    Args:
        arms: All arms, in the order of the answer.
        baseline: The name of the arm that the others are compared with.
        rule: What decides a pair, if seeds are added until then; None: the seeds are fixed.
        question: What is asked about the arms.
    """
    pairs = question.pairs_of(arms, baseline)
    if rule is None:
        results = tuple(_arm_result(arm) for arm in arms)
        return _with_pairs(question, baseline, results, pairs, paired_differences([pairs], question)[0])
    counted = [counted_seeds(_outcomes(arm), _outcomes(to), rule) for arm, to in pairs]
    versus = [_growing_difference(arm, to, each) for (arm, to), each in zip(pairs, counted, strict=True)]
    of_arm = {
        arm.name: [each for pair, each in zip(pairs, counted, strict=True) if any(one is arm for one in pair)]
        for arm in arms
    }
    results = tuple(_growing_result(arm, of_arm[arm.name]) if of_arm[arm.name] else _arm_result(arm) for arm in arms)
    return _with_pairs(question, baseline, results, pairs, versus)


def compare_at_each_T(
    arms_by_T: Mapping[int, Sequence[ComparedArm]],
    baseline: str,
    question: Question,
) -> dict[int, Comparison]:
    """Compare the arms at each T. All pairs at all T are judged together.

    Args:
        arms_by_T: All arms, with their results at each T.
        baseline: As for `compare_arms`.
        question: As for `compare_arms`.
    """
    pairs = {T: question.pairs_of(arms, baseline) for T, arms in arms_by_T.items()}
    versus = paired_differences(list(pairs.values()), question)
    return {
        T: _with_pairs(question, baseline, tuple(_arm_result(arm) for arm in arms), pairs[T], of_T)
        for (T, arms), of_T in zip(arms_by_T.items(), versus, strict=True)
    }


def _with_pairs(
    question: Question,
    baseline: str,
    results: Sequence[ArmResult],
    pairs: Sequence[tuple[ComparedArm, ComparedArm]],
    versus: Sequence[PairedDifference],
) -> Comparison:
    """Return the comparison: each arm with its first pair, and the further pairs apart."""
    first: dict[str, PairedDifference] = {}
    further = []
    for (arm, _), each in zip(pairs, versus, strict=True):
        if first.setdefault(arm.name, each) is not each:
            further.append(FurtherPair(arm.name, each))
    arms = tuple(replace(result, versus_baseline=first.get(result.name)) for result in results)
    return Comparison(question.quantity, baseline, arms, tuple(further))


def _outcomes(arm: ComparedArm) -> list[SeedOutcome | None]:
    """Return the arm's outcome at each seed, in the order of the spec."""
    results = (arm.results.get(seed) for seed in arm.seeds)
    return [None if each is None else SeedOutcome(each.value, each.initial_sha256) for each in results]


def _growing_difference(arm: ComparedArm, baseline: ComparedArm, counted: CountedSeeds) -> PairedDifference:
    """Return the difference over the seeds that count for a pair."""
    one, other = (_cut(each, counted.num_counted, counted.num_wanted) for each in (arm, baseline))
    pair = _pair(one, other)
    seed = [*arm.seeds][counted.num_counted - 1] if counted.is_decided else None
    if counted.judged is None:
        return replace(pair, verdict=Verdict.NOT_COMPARABLE, decided_at=seed)
    return replace(_with_numbers(pair, counted.judged), decided_at=seed)


def _growing_result(arm: ComparedArm, counted: Sequence[CountedSeeds]) -> ArmResult:
    """Return an arm over the seeds that count for one of its pairs; its other values are apart, in `beyond`."""
    num_counted, num_wanted = (max(each.num_counted for each in counted), max(each.num_wanted for each in counted))
    result = _arm_result(_cut(arm, num_counted, num_wanted))
    beyond = [seed for seed in [*arm.seeds][num_counted:] if seed in arm.results]
    return replace(result, beyond=tuple(SeedValue(seed, arm.results[seed].value) for seed in beyond))


def _cut(arm: ComparedArm, num_counted: int, num_wanted: int) -> ComparedArm:
    """Return an arm with its results at the first seeds only; later seeds that have a result are left out."""
    counted = set([*arm.seeds][:num_counted])
    wanted = [*arm.seeds.items()][:num_wanted]
    seeds = {seed: state for seed, state in wanted if seed in counted or seed not in arm.results}
    return ComparedArm(arm.name, seeds, {seed: arm.results[seed] for seed in counted if seed in arm.results})


def _arm_result(arm: ComparedArm) -> ArmResult:
    """Return an arm without its pair."""
    values = tuple(SeedValue(seed, arm.results[seed].value) for seed in arm.seeds if seed in arm.results)
    numbers = [each.value for each in values]
    low, high = interval_of_mean(numbers)
    lost = Counter(each.state for seed, each in arm.seeds.items() if seed not in arm.results)
    test_sets = {result.test_set for result in arm.results.values()}
    return ArmResult(
        name=arm.name,
        n=len(values),
        n_wanted=len(arm.seeds),
        num_failed=lost[WorkState.FAILED],
        num_cancelled=lost[WorkState.CANCELLED],
        num_stopped=lost[WorkState.STOPPED],
        values=values,
        mean=fmean(numbers) if numbers else None,
        std=stdev(numbers) if len(numbers) > 1 else None,
        low=low,
        high=high,
        train_time_s=fmean(result.train_time_s for result in arm.results.values()) if arm.results else None,
        test_set=test_sets.pop() if len(test_sets) == 1 else None,
        versus_baseline=None,
    )


def paired_differences(
    families: Sequence[Sequence[tuple[ComparedArm, ComparedArm]]], question: Question
) -> list[list[PairedDifference]]:
    """Return the mean of each arm's results minus the other's over common seeds, with its test, family by family.

    All pairs of all families are judged together, because with more pairs a difference by chance becomes more likely.
    """
    paired = [[_pair(arm, to) for arm, to in family] for family in families]
    judged = iter(
        judge(
            [None if pair.is_apart else [each.value for each in pair.differences] for one in paired for pair in one],
            higher_is_better=question.higher_is_better,
            margin=question.margin,
        )
    )
    return [[_with_numbers(pair, next(judged)) for pair in family] for family in paired]


def _with_numbers(pair: PairedDifference, judged: JudgedPair) -> PairedDifference:
    return replace(
        pair,
        difference=judged.test.difference,
        low=judged.test.low,
        high=judged.test.high,
        d_z=judged.test.d_z,
        p=judged.test.p,
        p_holm=judged.p_holm,
        p_sign_flip=judged.test.p_sign_flip,
        detectable=judged.test.detectable,
        verdict=judged.verdict,
        judged=judged,
    )


def _pair(arm: ComparedArm, baseline: ComparedArm) -> PairedDifference:
    """Return the differences at the seeds that both arms have, without a test."""
    seeds = [seed for seed in arm.seeds if seed in arm.results and seed in baseline.results]
    missing = tuple(each for one in (arm, baseline) for each in missing_seeds(one.name, one.seeds, set(one.results)))
    pair = PairedDifference(baseline.name, None, None, None, len(seeds), missing=missing)
    if not seeds:
        return replace(pair, reason=f"no seed has a result in both arms: {missing_in_words(missing)}")
    if (reason := _started_apart(seeds, arm, baseline)) is not None:
        return replace(pair, reason=reason, is_apart=True)
    differences = (SeedValue(seed, arm.results[seed].value - baseline.results[seed].value) for seed in seeds)
    return replace(pair, differences=tuple(differences))


def _started_apart(seeds: Sequence[int], arm: ComparedArm, baseline: ComparedArm) -> str | None:
    """Return a text if the arms started from different weights at a seed; otherwise None."""
    for seed in seeds:
        weights, of_baseline = arm.results[seed].initial_sha256, baseline.results[seed].initial_sha256
        if weights is not None and of_baseline is not None and weights != of_baseline:
            return f"at seed {seed} the two arms started from different weights, {weights[:12]} and {of_baseline[:12]}"
    return None
