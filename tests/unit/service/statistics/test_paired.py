"""Tests of the paired t test, of what it could have found, of equivalence and of Holm's procedure."""

import math

import numpy as np
import pytest
from scipy import stats

from service.statistics.paired import PairedTest, detectable_difference, equivalence_p, holm, paired_test, seeds_needed


def test_the_test_of_four_differences_by_hand() -> None:
    # Mean 2, sample deviation sqrt(2/3): t = 2 / (0.8165 / 2) = 4.899 with 3 degrees of freedom.
    result = paired_test([1.0, 2.0, 2.0, 3.0])
    assert (result.n, result.difference) == (4, 2.0)
    assert result.std == pytest.approx(math.sqrt(2 / 3))
    assert result.d_z == pytest.approx(2 / math.sqrt(2 / 3))
    assert result.p == pytest.approx(0.016277, abs=1e-6)
    half = 3.182446 * math.sqrt(2 / 3) / 2
    assert [result.low, result.high] == pytest.approx([2 - half, 2 + half], abs=1e-6)
    assert result.p_sign_flip == 2 / 16


@pytest.mark.parametrize("n", [2, 3, 8, 30])
def test_p_and_interval_are_scipys(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    result, expected = paired_test(list(differences)), stats.ttest_1samp(differences, 0)
    assert result.p == pytest.approx(expected.pvalue)
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_none_one_and_equal_differences_have_defined_answers() -> None:
    assert paired_test([]) == PairedTest(0)
    assert paired_test([0.01]) == PairedTest(1, 0.01, p_sign_flip=1.0)
    # Both seeds differ by one test sample: the t test would call that certain.
    assert paired_test([1 / 360, 1 / 360]) == PairedTest(2, 1 / 360, 0.0, p=0.5, p_sign_flip=0.5)
    assert paired_test([0.0] * 5) == PairedTest(5, 0.0, 0.0, p=1.0, p_sign_flip=1.0)


def test_differences_that_differ_by_rounding_alone_are_equal() -> None:
    differences = [0.9 - 0.8, 0.8 - 0.7, 0.5 - 0.4]
    assert len(set(differences)) > 1
    assert paired_test(differences).all_equal
    assert paired_test(differences).p == 0.25


def test_the_detectable_difference_is_found_in_80_percent_of_simulated_experiments() -> None:
    n, experiments = 6, 4000
    true = detectable_difference(1.0, n)
    assert true == pytest.approx(1.4345, abs=1e-4)
    drawn = np.random.default_rng(0).normal(true, 1, (experiments, n))
    power = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05)
    assert power == pytest.approx(0.8, abs=0.02)  # three standard errors


def test_more_pairs_make_the_detectable_difference_larger() -> None:
    expected = [detectable_difference(0.01, 8, pairs) for pairs in (1, 2, 4)]
    assert expected == sorted(expected)
    assert expected[0] < expected[1]
    assert paired_test([0.01, 0.02, 0.0, 0.01], num_pairs=2).detectable == pytest.approx(
        detectable_difference(float(np.std([0.01, 0.02, 0.0, 0.01], ddof=1)), 4, 2)
    )


@pytest.mark.parametrize("difference", [0.2, 0.5, 1.0, 3.0])
def test_the_seeds_needed_are_the_fewest_that_detect_the_difference(difference: float) -> None:
    n = seeds_needed(1.0, difference)
    assert n is not None
    assert detectable_difference(1.0, n) <= difference
    assert n == 2 or detectable_difference(1.0, n - 1) > difference


def test_a_plan_of_too_many_seeds_is_no_plan() -> None:
    assert seeds_needed(1.0, 0.001) is None


def test_equivalence_is_the_larger_of_two_one_sided_p() -> None:
    differences, margin = [0.001, -0.002, 0.003, 0.0, 0.001], 0.01
    lower = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    upper = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert equivalence_p(differences, margin) == pytest.approx(max(lower, upper))
    assert equivalence_p([0.02, 0.021, 0.019], margin) == pytest.approx(1, abs=0.01)


def test_equivalence_of_equal_differences_needs_five_seeds() -> None:
    assert equivalence_p([0.0], 0.01) is None
    assert equivalence_p([0.0] * 4, 0.01) == 1 / 16
    assert equivalence_p([0.0] * 5, 0.01) == 1 / 32
    assert equivalence_p([0.02] * 5, 0.01) == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, None, 0.5]) == [0.03, None, 1.0]  # the missing one counts
    assert holm([]) == []
