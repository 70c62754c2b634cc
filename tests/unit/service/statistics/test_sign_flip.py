"""Tests of the sign-flip test."""

import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test

from service.statistics.sign_flip import DRAWN, sign_flip_p, smallest_p


def test_p_is_the_share_of_patterns_counted_by_hand() -> None:
    # Of ±1 ±2 ±3, the sums of at least 4 in size are ±6 and ±4: 4 of 8.
    assert sign_flip_p([-1.0, 2.0, 3.0]) == 0.5
    assert sign_flip_p([1.0, 2.0, 3.0]) == 0.25


def test_ties_count_in_spite_of_rounding() -> None:
    # 0.1 + 0.2 is not 0.3 in binary, but the pattern +0.1 +0.2 -0.3 is a tie with the observed -0.1 -0.2 +0.3.
    differences = [0.1, 0.2, -0.3]
    patterns = [
        sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in itertools.product((1, -1), repeat=3)
    ]
    assert {round(abs(each), 12) for each in patterns} == {0.0, 0.2, 0.4, 0.6}
    assert sign_flip_p(differences) == 1.0


def test_zeros_carry_no_evidence() -> None:
    assert sign_flip_p([0.0] * 6) == 1.0
    assert sign_flip_p([0.01] * 6 + [0.0]) == sign_flip_p([0.01] * 6) == 2 / 64


@pytest.mark.parametrize("n", [2, 5, 9])
def test_an_exact_p_is_scipys(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.5, 1, n)
    expected = permutation_test(
        (differences,),
        lambda x, axis: np.sum(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_flip_p(list(differences)) == pytest.approx(expected.pvalue)


def test_the_smallest_p_is_reached_by_differences_of_one_sign_and_is_above_5_percent_below_six_seeds() -> None:
    for n in range(1, 12):
        assert sign_flip_p([0.5 + i / 7 for i in range(n)]) == smallest_p(n)
    assert smallest_p(5) == 0.0625
    assert smallest_p(6) == 0.03125
    assert smallest_p(0) == 1.0


def test_above_twenty_seeds_p_is_drawn_with_a_fixed_seed_and_is_never_zero() -> None:
    differences = list(np.random.default_rng(0).normal(0.3, 1, 25))
    assert sign_flip_p(differences) == sign_flip_p(differences)
    exact = sign_flip_p(differences[:20])
    assert sign_flip_p([*differences[:20], 0.0]) == pytest.approx(
        exact, abs=0.015
    )  # a zero changes nothing; three standard errors
    assert sign_flip_p([1.0] * 40) == 1 / (1 + DRAWN)
