"""Tests of the e-process and its confidence sequence."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from service.statistics.anytime import (
    Interval,
    anytime_p,
    confidence_interval,
    confidence_sequence,
    first_possible_n,
    log_e_value,
)


def test_m_of_five_equal_differences_by_hand() -> None:
    # n = 5, c² = 1, V = S²/5: M = sqrt(1/6) * 6^(5/2) = 36.
    assert math.exp(log_e_value([0.01] * 5)) == pytest.approx(36)
    assert math.exp(log_e_value([0.01])) == pytest.approx(1)
    assert log_e_value([]) == log_e_value([0.0] * 9) == 0.0


def test_m_is_the_ratio_of_t_likelihoods_mixed_over_a_gaussian_effect_size() -> None:
    """M = ∫ f(x | effect d) N(d; 0, 1/c²) dd / f(x | effect 0), with 1/σ as the prior of the deviation."""
    x = np.array([0.3, 1.2, -0.4, 0.9])
    n, mean_square, mean = len(x), float(np.mean(x**2)), float(np.mean(x))

    def marginal(effect: float) -> float:
        # Over s = 1/σ: ∫ s^(n-1) exp(-n/2 (s² mean_square - 2 s effect mean + effect²)) ds
        def density(s: float) -> float:
            return s ** (n - 1) * math.exp(-n / 2 * (s * s * mean_square - 2 * s * effect * mean + effect**2))

        return float(quad(density, 0, 20)[0])

    mixed = quad(lambda d: marginal(d) * math.exp(-d * d / 2) / math.sqrt(2 * math.pi), -12, 12)[0]
    assert math.exp(log_e_value(list(x))) == pytest.approx(mixed / marginal(0.0), rel=1e-6)


def test_the_interval_holds_exactly_the_means_that_are_not_rejected() -> None:
    differences = list(np.random.default_rng(3).normal(0.5, 1, 9))
    interval = confidence_interval(differences, 0.05)
    assert interval.low is not None
    assert interval.high is not None
    mean = float(np.mean(differences))

    def excess(candidate: float) -> float:
        return log_e_value([x - candidate for x in differences]) - math.log(20)

    assert interval.high == pytest.approx(brentq(excess, mean, mean + 50))
    assert interval.low == pytest.approx(brentq(excess, mean - 50, mean))


def test_nothing_can_be_decided_below_five_seeds() -> None:
    assert confidence_interval([1.0, 1.1, 0.9, 1.0], 0.05) == Interval(None, None)
    assert confidence_interval([], 0.05) == Interval(None, None)
    assert [first_possible_n(0.05 / pairs) for pairs in (1, 2, 4)] == [5, 6, 6]


def test_half_widths_are_those_of_the_guide() -> None:
    def half(n: int) -> float:
        differences = np.linspace(-1, 1, n)
        interval = confidence_interval(list(differences / np.std(differences)), 0.05)
        assert interval.high is not None
        return interval.high

    assert half(10) == pytest.approx(1.22, abs=0.1)
    assert half(20) == pytest.approx(0.77, abs=0.05)


def test_the_sequence_only_narrows_and_its_p_only_falls() -> None:
    differences = list(np.random.default_rng(1).normal(1, 1, 30))
    sequence = list(confidence_sequence(differences, 0.05))
    bounded = [(each.low, each.high) for each in sequence if each.low is not None and each.high is not None]
    assert len(bounded) == 26
    assert all(a[0] <= b[0] and b[1] <= a[1] for a, b in pairwise(bounded))
    ps = [anytime_p(differences[:n]) for n in range(31)]
    assert ps[0] == 1.0
    assert ps == sorted(ps, reverse=True)
    # p falls below alpha at the very seed at which the sequence leaves zero.
    assert [p <= 0.05 for p in ps[1:]] == [each.low is not None and each.low > 0 for each in sequence]


def test_intervals_that_do_not_meet_are_replaced_by_the_newest() -> None:
    differences = [0.0] * 6 + [100.0] * 40
    *_, last = confidence_sequence(differences, 0.05)
    alone = confidence_interval(differences, 0.05)
    assert [last.low, last.high] == pytest.approx([alone.low, alone.high])
