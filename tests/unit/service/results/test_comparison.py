"""Tests of the comparison of arms and of paired differences."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from service.events import ClassCounts
from service.failures import FailureType
from service.results.comparison import ComparedArm, PairedDifference, Result, compare_arms
from service.results.seeds import MissingSeeds, SeedState
from service.states import WorkState
from service.statistics.verdict import Verdict

SUCCEEDED, WAITING = SeedState(WorkState.SUCCEEDED), SeedState(WorkState.WAITING)
NOT_FINITE = SeedState(WorkState.FAILED, FailureType.NOT_FINITE)


def arm(
    name: str,
    *accuracies: float,
    first_seed: int = 0,
    weights: str | None = None,
    lost: dict[int, SeedState] | None = None,
) -> ComparedArm:
    """Return an arm with a result for each accuracy, at consecutive seeds; times grow by 10 s from seed to seed."""
    results = {seed: Result(each, 10.0 * (seed + 1), weights) for seed, each in enumerate(accuracies, first_seed)}
    seeds = dict.fromkeys(results, SUCCEEDED) | (lost or {})
    return ComparedArm(name, dict(sorted(seeds.items())), results)


def paired(one: ComparedArm, baseline: ComparedArm) -> PairedDifference:
    versus = compare_arms([baseline, one], baseline.name).arms[1].versus_baseline
    assert versus is not None
    return versus


def test_a_comparison_equals_one_computed_by_hand() -> None:
    comparison = compare_arms([arm("SDT", 0.90, 0.92, 0.94), arm("TET", 0.93, 0.93, 0.96)], "SDT")
    sdt, tet = comparison.arms
    assert (comparison.quantity, comparison.baseline) == ("test/accuracy", "SDT")
    assert (sdt.name, sdt.n, sdt.n_wanted, sdt.versus_baseline) == ("SDT", 3, 3, None)
    assert [(each.seed, each.value) for each in sdt.values] == [(0, 0.90), (1, 0.92), (2, 0.94)]
    assert [sdt.mean, sdt.std, sdt.train_time_s] == pytest.approx([0.92, 0.02, 20.0])
    # Mean 0.92, std 0.02, t(0.975, 2) = 4.302653.
    half = 4.302653 * 0.02 / 3**0.5
    assert [sdt.low, sdt.high] == pytest.approx([0.92 - half, 0.92 + half], abs=1e-8)
    versus = tet.versus_baseline
    assert versus is not None
    # Differences 0.03, 0.01, 0.02: mean 0.02, std 0.01.
    assert (versus.to, versus.n, versus.missing, versus.reason) == ("SDT", 3, (), None)
    assert versus.difference == pytest.approx(0.02)
    assert [each.seed for each in versus.differences] == [0, 1, 2]
    assert [each.value for each in versus.differences] == pytest.approx([0.03, 0.01, 0.02])
    assert versus.low == pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5, abs=1e-8)
    assert versus.high == pytest.approx(0.02 + 4.302653 * 0.01 / 3**0.5, abs=1e-8)


def test_lost_seeds_are_counted_by_their_state() -> None:
    lost = {
        0: NOT_FINITE,
        1: NOT_FINITE,
        3: SeedState(WorkState.CANCELLED),
        4: SeedState(WorkState.STOPPED),
        5: SeedState(WorkState.RUNNING),
    }
    (one,) = compare_arms([arm("SDT", 0.5, first_seed=2, lost=lost)], "SDT").arms
    assert (one.n, one.n_wanted) == (1, 6)
    assert (one.num_failed, one.num_cancelled, one.num_stopped) == (2, 1, 1)
    assert [(each.seed, each.value) for each in one.values] == [(2, 0.5)]


def test_only_seeds_present_in_both_arms_are_paired_and_the_others_have_their_reasons() -> None:
    tet = arm("TET", 0.9, 0.8, 0.7, first_seed=1, lost={0: NOT_FINITE})
    versus = paired(tet, arm("SDT", 0.5, 0.6, 0.7, lost={3: WAITING}))
    assert versus.n == 2
    assert [each.seed for each in versus.differences] == [1, 2]
    assert [each.value for each in versus.differences] == pytest.approx([0.3, 0.1])
    assert versus.difference == pytest.approx((0.3 + 0.1) / 2)
    assert versus.missing == (
        MissingSeeds("TET", WorkState.FAILED, FailureType.NOT_FINITE, (0,)),
        MissingSeeds("SDT", WorkState.WAITING, None, (3,)),
    )


def test_one_pair_has_a_difference_and_no_interval() -> None:
    versus = paired(arm("TET", 0.9), arm("SDT", 0.8))
    assert versus.difference == pytest.approx(0.1)
    assert (versus.low, versus.high, versus.n) == (None, None, 1)
    (one,) = compare_arms([arm("a", 0.9)], "a").arms
    assert (one.mean, one.std, one.low, one.high) == (0.9, None, None, None)


def test_arms_without_results_have_no_numbers_and_the_difference_says_why() -> None:
    sdt, tet = compare_arms([arm("SDT", lost={0: NOT_FINITE, 1: WAITING}), arm("TET", 0.9, 0.8)], "SDT").arms
    assert (sdt.n, sdt.mean, sdt.std, sdt.values, sdt.train_time_s) == (0, None, None, (), None)
    versus = tet.versus_baseline
    assert versus is not None
    assert (versus.difference, versus.n, versus.differences) == (None, 0, ())
    assert versus.reason == (
        "no seed has a result in both arms: SDT failed at seed 0 (not_finite); SDT is waiting at seed 1"
    )


def test_arms_that_started_from_different_weights_are_not_paired() -> None:
    baseline = ComparedArm(
        "SDT",
        {0: SUCCEEDED, 1: SUCCEEDED},
        {0: Result(0.9, 1.0, "a" * 64), 1: Result(0.9, 1.0, "b" * 64)},
    )
    versus = paired(arm("TET", 0.9, 0.8, weights="a" * 64), baseline)
    assert (versus.difference, versus.low, versus.high, versus.n) == (None, None, None, 2)
    assert versus.reason == "at seed 1 the two arms started from different weights, aaaaaaaaaaaa and bbbbbbbbbbbb"


@pytest.mark.parametrize("other", [None, ClassCounts(num_samples=5, num_classes=2, num_majority=3)])
def test_an_arm_has_the_test_set_of_its_results_if_they_share_one(other: ClassCounts | None) -> None:
    counts = ClassCounts(num_samples=4, num_classes=2, num_majority=2)

    def test_set(*sets: ClassCounts | None) -> ClassCounts | None:
        results = {seed: Result(0.5, 1.0, None, each) for seed, each in enumerate(sets)}
        return compare_arms([ComparedArm("a", dict.fromkeys(results, SUCCEEDED), results)], "a").arms[0].test_set

    assert test_set(counts, counts) == counts
    assert test_set(counts, other) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_the_interval_is_that_of_a_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    of_arm, of_baseline = zip(*pairs, strict=True)
    versus = paired(arm("TET", *of_arm), arm("SDT", *of_baseline))
    differences = [a - b for a, b in pairs]
    spread = statistics.stdev(differences) / len(pairs) ** 0.5
    if spread < 1e-9:
        assert versus.low == pytest.approx(versus.high, abs=1e-7)
        return
    low, high = stats.t.interval(0.95, len(pairs) - 1, loc=statistics.fmean(differences), scale=spread)
    assert [versus.low, versus.high] == pytest.approx([low, high])


def test_a_pair_has_its_tests_and_a_verdict_that_counts_all_pairs() -> None:
    baseline = arm("SDT", 0.90, 0.91, 0.92, 0.90, 0.91, 0.92)
    # Differences of TET: 1.0, 2.0, 1.5, 1.2, 2.0 and 3.0 points; of TIT: none but noise.
    tet = arm("TET", 0.910, 0.930, 0.935, 0.912, 0.930, 0.950)
    tit = arm("TIT", 0.901, 0.909, 0.921, 0.899, 0.911, 0.919)
    of_tet, of_tit = (each.versus_baseline for each in compare_arms([baseline, tet, tit], "SDT").arms[1:])
    assert of_tet is not None
    assert of_tit is not None
    differences = [0.010, 0.020, 0.015, 0.012, 0.020, 0.030]
    expected = stats.ttest_1samp(differences, 0).pvalue
    assert of_tet.p == pytest.approx(expected)
    assert of_tet.p_holm == pytest.approx(2 * expected)  # the smaller of two
    assert of_tet.p_sign_flip == 2 / 64
    assert of_tet.d_z == pytest.approx(statistics.fmean(differences) / statistics.stdev(differences))
    assert of_tet.detectable is not None
    assert (of_tet.verdict, of_tit.verdict) == (Verdict.BETTER, Verdict.UNDECIDED)


def test_equal_differences_decide_nothing_by_a_spread_of_zero() -> None:
    """Two seeds that differ by one test sample of 360 each: a t test would be certain."""
    versus = paired(arm("TET", 0.5 + 1 / 360, 0.6 + 1 / 360), arm("SDT", 0.5, 0.6))
    assert (versus.low, versus.high, versus.p, versus.verdict) == (None, None, 0.5, Verdict.UNDECIDED)
