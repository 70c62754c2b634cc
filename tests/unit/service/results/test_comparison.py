"""Tests of the comparison of arms and of paired differences."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from service.results.comparison import Result, compare_arms, paired_difference


def results(*values: float, first_seed: int = 0, weights: str | None = None) -> dict[int, Result]:
    """Return a result for each value, at seeds in a row; the training times grow by 10 s from seed to seed."""
    return {seed: Result(value, 10.0 * (seed + 1), weights) for seed, value in enumerate(values, first_seed)}


def test_a_comparison_equals_one_computed_by_hand() -> None:
    comparison = compare_arms(
        ["SDT", "TET"], "SDT", {"SDT": results(0.90, 0.92, 0.94), "TET": results(0.93, 0.93, 0.96)}
    )
    sdt, tet = comparison.arms
    assert comparison.baseline == "SDT"
    assert (sdt.name, sdt.n, sdt.values, sdt.versus_baseline) == ("SDT", 3, (0.90, 0.92, 0.94), None)
    assert [sdt.mean, sdt.std, sdt.train_time_s] == pytest.approx([0.92, 0.02, 20.0])
    versus = tet.versus_baseline
    assert versus is not None
    # Differences 0.03, 0.01, 0.02: mean 0.02, std 0.01, t(0.975, 2) = 4.302653.
    assert versus.difference == pytest.approx(0.02)
    assert (versus.n, versus.reason) == (3, None)
    assert versus.low == pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5, abs=1e-8)
    assert versus.high == pytest.approx(0.02 + 4.302653 * 0.01 / 3**0.5, abs=1e-8)


def test_only_seeds_present_in_both_arms_are_paired() -> None:
    versus = paired_difference(results(0.9, 0.8, 0.7, first_seed=1), results(0.5, 0.6, 0.7))
    assert versus.n == 2
    assert versus.difference == pytest.approx((0.3 + 0.1) / 2)


def test_one_pair_has_a_difference_and_no_interval() -> None:
    versus = paired_difference(results(0.9), results(0.8))
    assert versus.difference == pytest.approx(0.1)
    assert (versus.low, versus.high, versus.n) == (None, None, 1)
    arm = compare_arms(["a"], "a", {"a": results(0.9)}).arms[0]
    assert (arm.mean, arm.std) == (0.9, None)


def test_arms_without_results_have_no_numbers() -> None:
    sdt, tet = compare_arms(["SDT", "TET"], "SDT", {"TET": results(0.9)}).arms
    assert (sdt.n, sdt.mean, sdt.std, sdt.values, sdt.train_time_s) == (0, None, None, (), None)
    assert tet.versus_baseline is not None
    assert (tet.versus_baseline.difference, tet.versus_baseline.n) == (None, 0)


def test_arms_that_started_from_different_weights_are_not_paired() -> None:
    arm = results(0.9, 0.8, weights="a" * 64)
    baseline = {0: Result(0.9, 1.0, "a" * 64), 1: Result(0.9, 1.0, "b" * 64)}
    versus = paired_difference(arm, baseline)
    assert (versus.difference, versus.low, versus.high, versus.n) == (None, None, None, 2)
    assert versus.reason == "at seed 1 the two arms started from different weights, aaaaaaaaaaaa and bbbbbbbbbbbb"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_the_interval_is_that_of_a_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    of_arm, of_baseline = zip(*pairs, strict=True)
    versus = paired_difference(results(*of_arm), results(*of_baseline))
    differences = [a - b for a, b in pairs]
    spread = statistics.stdev(differences) / len(pairs) ** 0.5
    if spread < 1e-9:
        assert versus.low == pytest.approx(versus.high, abs=1e-7)
        return
    low, high = stats.t.interval(0.95, len(pairs) - 1, loc=statistics.fmean(differences), scale=spread)
    assert [versus.low, versus.high] == pytest.approx([low, high])
