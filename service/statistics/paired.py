"""The paired t test of the differences between two arms at the same seeds, with what a reader asks of it.

Shapes: differences are values of one arm minus those of the other, at n seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import nctdtrinc, stdtr, stdtrit

from service.statistics.level import ALPHA, CONFIDENCE
from service.statistics.sign_flip import sign_flip_p

# The power that `detectable` is computed for.
POWER = 0.8
# No plan of more seeds than this is proposed.
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class PairedTest:
    """The test of n differences; a field is None where it has no answer.

    Attributes:
        n: The number of differences.
        difference: Their mean; None for n = 0.
        std: Their standard deviation (of the sample); None below n = 2.
        low: Lower end of the 95 % t interval of the mean; None below n = 2, or if all differences are equal.
        high: Upper end.
        d_z: The effect size `difference / std`; None where `low` is.
        p: Two-sided p of the t test that the mean is 0. If all differences are equal, the t test has no answer and p is
            that of the sign-flip test: rounding of accuracies makes equal differences likely, and they prove little.
        p_sign_flip: Two-sided p of the sign-flip test; None for n = 0.
        detectable: The mean difference that this test finds with a probability of 80 %; None where `low` is.
    """

    n: int
    difference: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    d_z: float | None = None
    p: float | None = None
    p_sign_flip: float | None = None
    detectable: float | None = None

    @property
    def all_equal(self) -> bool:
        """Whether there are two or more differences, all with the same value: the t test then has no answer."""
        return self.std == 0


def paired_test(differences: Sequence[float], num_pairs: int = 1) -> PairedTest:
    """Test whether the mean of the differences is 0.

    Args:
        differences: The differences.
        num_pairs: The number of pairs of arms that the experiment compares. `detectable` holds for the strictest level
            of Holm's procedure, alpha / num_pairs, so that it holds for every pair.
    """
    n = len(differences)
    if n == 0:
        return PairedTest(0)
    mean, flip = fmean(differences), sign_flip_p(differences)
    if n == 1:
        return PairedTest(1, mean, p_sign_flip=flip)
    std = _std(differences)
    if std == 0:
        return PairedTest(n, mean, 0.0, p=flip, p_sign_flip=flip)
    error = std / math.sqrt(n)
    low, high = interval_of_mean(differences)
    return PairedTest(
        n=n,
        difference=mean,
        std=std,
        low=low,
        high=high,
        d_z=mean / std,
        p=2 * float(stdtr(n - 1, -abs(mean) / error)),
        p_sign_flip=flip,
        detectable=detectable_difference(std, n, num_pairs),
    )


def interval_of_mean(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % interval of the mean of n values: mean ± t(0.975, n - 1) * std / sqrt(n); None below n = 2."""
    n = len(values)
    if n < 2:
        return None, None
    mean = fmean(values)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stdev(values) / math.sqrt(n)
    return mean - half, mean + half


def detectable_difference(std: float, n: int, num_pairs: int = 1) -> float:
    """Return the true mean difference that the two-sided t test finds with a probability of 80 %.

    It is `delta * std / sqrt(n)` with the delta at which the noncentral t distribution has 20 % of its mass below the
    critical value. The mass beyond the other critical value is left out; it is below 1e-4 here.

    Args:
        std: Standard deviation of the differences.
        n: The number of seeds, at least 2.
        num_pairs: As for `paired_test`.
    """
    critical = float(stdtrit(n - 1, 1 - ALPHA / num_pairs / 2))
    return float(nctdtrinc(n - 1, 1 - POWER, critical)) * std / math.sqrt(n)


def seeds_needed(std: float, difference: float, num_pairs: int = 1) -> int | None:
    """Return the smallest n at which the t test finds a true mean difference with a probability of 80 %.

    Args:
        std: Standard deviation of the differences, as far as known.
        difference: The true mean difference, more than 0.
        num_pairs: As for `paired_test`.

    Returns:
        The number of seeds; None if it is more than 10,000.
    """
    low, high = 2, 2
    while detectable_difference(std, high, num_pairs) > difference:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while low < high:  # `detectable_difference` falls as n grows
        middle = (low + high) // 2
        low, high = (low, middle) if detectable_difference(std, middle, num_pairs) <= difference else (middle + 1, high)
    return high


def equivalence_p(differences: Sequence[float], margin: float) -> float | None:
    """Return the p of two one-sided t tests that the true mean difference lies within ±margin.

    If all differences are equal, the t tests have no answer. Then p is that of two one-sided sign-flip tests, 1 / 2^n
    for a difference within the margin.

    Args:
        differences: The differences.
        margin: The largest difference that does not count, more than 0.

    Returns:
        The larger p of the two tests; None below n = 2.

    Source: Schuirmann, "A comparison of the two one-sided tests procedure", 1987.
    """
    n = len(differences)
    if n < 2:
        return None
    mean, std = fmean(differences), _std(differences)
    if std == 0:
        return 2.0**-n if abs(mean) < margin else 1.0
    return float(stdtr(n - 1, (abs(mean) - margin) / (std / math.sqrt(n))))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return p values that are adjusted for the number of tests by Holm's procedure; None stays None.

    A missing p counts as a test: when its seeds arrive, the others do not change their meaning.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    present = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    for rank, (p, index) in enumerate(present):
        largest = max(largest, min(1.0, (len(ps) - rank) * p))
        adjusted[index] = largest
    return adjusted


def _std(differences: Sequence[float]) -> float:
    """Return the sample's standard deviation; exactly 0 if the differences differ by rounding errors alone."""
    std = stdev(differences)
    return 0.0 if std <= 1e-12 * max(map(abs, differences)) else std
