import math
import time

import numpy as np
import pytest
from scipy.stats import binom

from service.statistics.anytime import Interval
from service.statistics.paired import interval_of_mean
from service.statistics.resampling import Bits, ResampledDifference, explained, resampled_difference
from service.statistics.verdict import Wording

SEEDS = range(10)


def bits(*values: int) -> Bits:
    return np.array(values, dtype=np.bool_)


def drawn(generator: np.random.Generator, rates: np.ndarray) -> dict[int, Bits]:
    """Return bits of a seed for each row of probabilities `[n, N]`."""
    return dict(enumerate(generator.random(rates.shape) < rates))


def contains(interval: Interval, value: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= value <= interval.high


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_a_case_of_two_seeds_and_two_samples_is_as_computed_by_hand() -> None:
    # x = [[1, 0], [0, 0]]: the rows have the means 0.5 and 0, so have the columns. What is left is ±0.25, and its sum
    # of squares 0.25 has one degree of freedom, so var(e) / N is 0.125. So is the variance of 0.5 and 0.
    result = resampled_difference({0: bits(1, 1), 1: bits(1, 0)}, {0: bits(0, 1), 1: bits(1, 0)})
    assert (result.n, result.num_samples, result.difference) == (2, 2, 0.25)
    # Two draws of 0.5 and 0 have the means 0, 0.25 and 0.5, with 1/4, 1/2 and 1/4.
    assert result.other_samples == Interval(0.0, 0.5)
    assert result.other_seeds_and_samples == Interval(None, None)
    assert result.std == result.std_of_test_set == math.sqrt(0.125)
    assert result.share_of_test_set == 1.0


def test_of_one_seed_the_interval_over_samples_is_that_of_the_binomial_distribution() -> None:
    arm = {7: np.arange(100) < 90}
    result = resampled_difference(arm, {7: np.arange(100) < 80})
    low, high = binom.ppf([0.025, 0.975], 100, 0.1) / 100
    assert result.other_samples.low == pytest.approx(low, abs=0.0101)
    assert result.other_samples.high == pytest.approx(high, abs=0.0101)
    assert result.difference == pytest.approx(0.1)
    assert (result.std, result.std_of_test_set, result.share_of_test_set) == (None, None, None)
    assert result.other_seeds_and_samples == Interval(None, None)


def test_only_common_seeds_count_and_the_order_of_the_seeds_does_not() -> None:
    generator = np.random.default_rng(0)
    arm, other = (drawn(generator, np.full((4, 50), 0.7)) for _ in range(2))
    result = resampled_difference(arm, other)
    turned = resampled_difference({9: bits(1), **dict(reversed(arm.items()))}, {**other, 8: bits(1)})
    assert turned == result
    assert resampled_difference({0: bits(1)}, {1: bits(1)}) == ResampledDifference(0)


def test_equal_differences_have_no_share() -> None:
    arm = {seed: np.arange(20) < 15 for seed in range(4)}
    result = resampled_difference(arm, {seed: np.arange(20) < 10 for seed in range(4)})
    assert (result.std, result.std_of_test_set, result.share_of_test_set) == (0.0, 0.0, None)
    # All networks are alike, so only other samples change the difference, and both intervals are those of the samples.
    assert result.other_seeds_and_samples == result.other_samples


def test_each_interval_is_written_with_the_question_that_it_answers() -> None:
    points = Wording(lambda value: f"{100 * value:.1f}", "points", 0.01, "1 point")
    result = ResampledDifference(
        5, 10_000, 0.02, Interval(0.015, 0.025), Interval(-0.001, 0.041), 0.01, 0.005, share_of_test_set=0.25
    )
    assert explained("TET", "SDT", result, points) == [
        "On other test samples of the same kind, these networks would differ (TET minus SDT) by [1.5, 2.5] points.",
        "Other seeds on other test samples would give [-0.1, 4.1] points.",
        "25% of the variance between seeds is that of a test set of 10,000 samples: a larger test set would remove it.",
    ]
    two = resampled_difference({0: bits(1, 1), 1: bits(1, 0)}, {0: bits(0, 1), 1: bits(1, 0)})
    assert explained("TET", "SDT", two, points) == [
        "On other test samples of the same kind, these networks would differ (TET minus SDT) by [0.0, 50.0] points.",
        "All of the variance between seeds is that of a test set of 2 samples: a larger test set would remove it.",
    ]
    assert explained("TET", "SDT", ResampledDifference(0), points) == []


@pytest.mark.parametrize("other", [{0: bits(1, 0, 1)}, {0: bits()}])
def test_different_and_empty_test_sets_are_refused(other: dict[int, Bits]) -> None:
    arm = {0: bits()} if len(other[0]) == 0 else {0: bits(1, 0)}
    with pytest.raises(ValueError, match=r"bits of .* test samples; they must have the same test set"):
        resampled_difference(arm, other)


def test_networks_that_are_equally_good_differ_by_the_test_set_alone() -> None:
    # Independent bits of rate 0.9: a difference has the variance 2 * 0.9 * 0.1 / N, and all of it is the test set's.
    generator = np.random.default_rng(1)
    arm, other = (drawn(generator, np.full((40, 1_000), 0.9)) for _ in range(2))
    result = resampled_difference(arm, other)
    assert result.std_of_test_set == pytest.approx(math.sqrt(2 * 0.9 * 0.1 / 1_000), rel=0.05)
    assert result.share_of_test_set is not None
    assert result.share_of_test_set > 0.7
    # No sample is harder for one arm, so other samples add nothing to the t interval.
    low, high = interval_of_mean([float(arm[s].mean() - other[s].mean()) for s in arm])
    assert low is not None
    assert high is not None
    assert width(result.other_seeds_and_samples) == pytest.approx(high - low, rel=0.1)


def test_networks_of_different_quality_differ_by_themselves() -> None:
    generator = np.random.default_rng(2)
    quality = 0.75 + 0.1 * generator.standard_normal((12, 1)).clip(-2, 2)
    arm = drawn(generator, np.broadcast_to(quality, (12, 2_000)))
    other = drawn(generator, np.full((12, 2_000), 0.75))
    share = resampled_difference(arm, other).share_of_test_set
    assert share is not None
    assert share < 0.1


def test_the_intervals_hold_the_true_difference_as_often_as_they_say() -> None:
    """Simulate arms of a known mean difference with parts of networks, samples and the rest."""
    generator, n, num_samples, rounds = np.random.default_rng(3), 10, 200, 200
    hits = t_hits = 0
    for _ in range(rounds):
        ease = 0.2 * generator.standard_normal((1, num_samples)).clip(-2, 2)
        skill = 0.02 * generator.standard_normal((n, 1)).clip(-2, 2)
        # The true difference is 0.1: both parts have the mean 0.
        arm = drawn(generator, 0.5 + 0.05 + ease / 2 + skill)
        other = drawn(generator, 0.5 - 0.05 - ease / 2 + np.zeros((n, 1)))
        hits += contains(resampled_difference(arm, other).other_seeds_and_samples, 0.1)
        low, high = interval_of_mean([float(arm[s].mean() - other[s].mean()) for s in range(n)])
        assert low is not None
        assert high is not None
        t_hits += low <= 0.1 <= high
    # The standard error of a share of 95 % of 200 is 1.5 %.
    assert 0.91 <= hits / rounds <= 0.99
    # The t interval answers another question: it takes the test set for given.
    assert t_hits / rounds < hits / rounds


def test_ten_thousand_samples_at_ten_seeds_take_less_than_two_seconds() -> None:
    generator = np.random.default_rng(4)
    arm, other = (drawn(generator, np.full((len(SEEDS), 10_000), 0.9)) for _ in range(2))
    start = time.process_time()
    result = resampled_difference(arm, other)
    assert time.process_time() - start < 2
    assert result == resampled_difference(arm, other)
