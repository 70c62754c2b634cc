"""A test of paired differences that may be looked at after every seed: an e-process and its confidence sequence.

For differences x_1 … x_n with S = sum x and V = sum x²,

    M = sqrt(c² / (n + c²)) * ((n + c²) V / ((n + c²) V - S²))^(n / 2)

is an e-process if the differences are Gaussian with mean 0 and any variance. By Ville's inequality the probability that
M ever reaches 1 / alpha is at most alpha. So an experiment may stop at the first seed at which M reaches it.

The guarantee needs Gaussian differences. `docs/guides/until-decided.md` has the error rates for others.

Source: Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance",
Sequential Analysis, 2025 (arXiv:2310.03722), with a Gaussian prior on the effect size of precision c².
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# Precision of the prior on the effect size. At 1, effects of 1 to 2 standard deviations are found soonest.
C2 = 1.0


def log_e_value(differences: Sequence[float]) -> float:
    """Return log M, the evidence of these differences against a mean of 0; 0 for none, or if all are 0."""
    return _log_e(len(differences), math.fsum(differences), math.fsum(x * x for x in differences))


def _log_e(n: int, s: float, v: float) -> float:
    """Return log M from n, S and V."""
    weight = n + C2
    if v == 0:
        return 0.0
    # (n + c²) V - S², as a sum of two terms of which none is negative: rounding cannot make it 0.
    left = C2 * v + max(n * v - s * s, 0.0)
    return 0.5 * math.log(C2 / weight) + 0.5 * n * (math.log(weight * v) - math.log(left))


@dataclass(frozen=True)
class Interval:
    """A confidence interval; an end without a bound is None."""

    low: float | None
    high: float | None


def confidence_interval(differences: Sequence[float], alpha: float) -> Interval:
    """Return the interval of means that the e-process does not reject at this n.

    With the mean m, the biased standard deviation s, r = ((n + c²) / (c² alpha²))^(1 / n) and k = (1 - 1 / r) (n + c²),
    it is m ± s sqrt(k / (n - k)) for k < n, and unbounded otherwise. For c² = 1 and alpha = 0.05 it is unbounded below
    n = 5.

    Args:
        differences: The differences.
        alpha: One minus the confidence, over all looks together.
    """
    n = len(differences)
    if n == 0:
        return Interval(None, None)
    mean = math.fsum(differences) / n
    return _interval(n, mean, math.fsum((x - mean) ** 2 for x in differences), alpha)


def _interval(n: int, mean: float, squares: float, alpha: float) -> Interval:
    """Return the interval from n, the mean and the sum of squares about it."""
    weight = n + C2
    k = -math.expm1(-(math.log(weight / C2) - 2 * math.log(alpha)) / n) * weight
    if k >= n:
        return Interval(None, None)
    half = math.sqrt(squares / n * k / (n - k))
    return Interval(mean - half, mean + half)


def first_possible_n(alpha: float) -> int:
    """Return the smallest n at which any differences can lead to a decision at this level."""
    n = 1
    while confidence_interval([0.0] * n, alpha).low is None:
        n += 1
    return n


def confidence_sequence(differences: Iterable[float], alpha: float) -> Iterator[Interval]:
    """Yield the interval after each seed: the intersection of all intervals until then.

    With probability 1 - alpha all of them contain the true mean, so their intersection does too. If differences are not
    Gaussian, the intersection may be empty; then the newest interval stands alone.
    """
    running, mean, squares = Interval(None, None), 0.0, 0.0
    for n, difference in enumerate(differences, start=1):
        # Welford's update: stable, and one step for each seed.
        deviation = difference - mean
        mean += deviation / n
        squares += deviation * (difference - mean)
        running = _intersection(running, _interval(n, mean, squares, alpha))
        yield running


def anytime_p(differences: Iterable[float]) -> float:
    """Return `min(1, 1 / max M)` over all looks so far: a p value that may be looked at after every seed."""
    largest = s = v = 0.0
    for n, difference in enumerate(differences, start=1):
        s, v = s + difference, v + difference * difference
        largest = max(largest, _log_e(n, s, v))
    return math.exp(-largest)


def _intersection(a: Interval, b: Interval) -> Interval:
    lows = [each.low for each in (a, b) if each.low is not None]
    highs = [each.high for each in (a, b) if each.high is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    return b if low is not None and high is not None and low > high else Interval(low, high)
