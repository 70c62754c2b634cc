"""A bootstrap of paired differences over seeds and over test samples: how much of the spread is the finite test set's.

With x_si in {-1, 0, 1}, arm minus other arm at seed s and test sample i, think of

    x_si = mu + a_s + b_i + e_si

a_s is the networks' part, b_i the samples' part (one arm is better on some samples at every seed), and e_si the rest:
other networks get other samples right. The difference at a seed is the mean over the N samples, so its variance over
seeds is var(a) + var(e) / N. That of the mean over n seeds, with other samples too, is var(a) / n + var(b) / N +
var(e) / (n N). The t interval knows the first and the last term only.

Shapes: n seeds, N test samples, B draws.

Sources: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007 (drawing rows and columns together
counts var(e) three times, so here the two are drawn apart); Davison and Hinkley, "Bootstrap Methods and their
Application", 1997, section 3.8 (shrunken effects); Hesterberg, "What Teachers Should Know About the Bootstrap", The
American Statistician 69, 2015 (few values give too narrow intervals, by sqrt((n - 1) / n) and by z for t).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from service.statistics.anytime import Interval
from service.statistics.level import CONFIDENCE
from service.statistics.verdict import Wording

# With this many draws an end of an interval varies by about 3 % of the interval's half width. The seed is fixed, and so
# are the intervals.
DRAWS, SEED = 2_000, 0
# How many drawn samples are held at once.
_CHUNK = 2_000_000
# From how many seeds on draws of seeds make an interval.
_LEAST_SEEDS = 3
_NOTHING = Interval(None, None)

Bits = NDArray[np.bool_]
# Differences of bits, -1, 0 or 1: `[n, N]`.
Signs = NDArray[np.int8]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class ResampledDifference:
    """The paired difference of two arms with what other seeds and other test samples would change.

    It is stored by the names of its attributes: they do not change, and a new one needs a default.

    Attributes:
        n: The number of seeds that both arms have.
        num_samples: N, the number of test samples; 0 for n = 0.
        difference: The mean difference of the accuracies, a fraction; None for n = 0.
        other_samples: 95 % interval for these very networks: what would they give on other test samples of the same
            kind? A bootstrap over samples.
        other_seeds_and_samples: 95 % interval for the methods: what would other seeds give on other test samples? A
            bootstrap over both, whose part for the seeds is as wide as the t interval. The t interval itself answers
            what other seeds would give on these very test samples. Without bounds below n = 3: two seeds give only
            three different draws.
        std: Standard deviation of the differences over seeds; None below n = 2, or with a single test sample.
        std_of_test_set: The part of `std` that is the finite test set's: sqrt(var(e) / N). It would vanish with an
            endless test set. It can be larger than `std`, because both are estimates. None where `std` is.
        share_of_test_set: `(std_of_test_set / std)²`, at most 1; None where `std` is, or if all differences are equal.
    """

    n: int
    num_samples: int = 0
    difference: float | None = None
    other_samples: Interval = _NOTHING
    other_seeds_and_samples: Interval = _NOTHING
    std: float | None = None
    std_of_test_set: float | None = None
    share_of_test_set: float | None = None


def explained(arm: str, to: str, result: ResampledDifference, wording: Wording) -> list[str]:
    """Return sentences for people: each interval with the question that it answers, and the share of the test set.

    Args:
        arm: The arm's name.
        to: The name of the other arm.
        result: Their difference.
        wording: How differences are written.
    """
    samples, both = result.other_samples, result.other_seeds_and_samples
    sentences = []
    if samples.low is not None:
        sentences.append(
            f"On other test samples of the same kind, these networks would differ ({arm} minus {to}) by "
            f"{_in_words(samples, wording)}."
        )
    if both.low is not None:
        sentences.append(f"Other seeds on other test samples would give {_in_words(both, wording)}.")
    if result.share_of_test_set is not None:
        share = "All" if result.share_of_test_set == 1 else f"{result.share_of_test_set:.0%}"
        sentences.append(
            f"{share} of the variance between seeds is that of a test set of {result.num_samples:,} samples: a larger "
            "test set would remove it."
        )
    return sentences


def _in_words(interval: Interval, wording: Wording) -> str:
    assert interval.low is not None
    assert interval.high is not None
    return f"[{wording.number(interval.low)}, {wording.number(interval.high)}] {wording.unit}"


def resampled_difference(arm: Mapping[int, Bits], other: Mapping[int, Bits]) -> ResampledDifference:
    """Resample the differences between two arms over their common seeds and over the test samples.

    Args:
        arm: For each seed which test samples the arm's network classifies correctly, `[N]`.
        other: The same of the other arm, on the same test samples in the same order.

    Raises:
        ValueError: If the numbers of samples differ, or are 0.
    """
    seeds = sorted(set(arm) & set(other))
    if not seeds:
        return ResampledDifference(0)
    sizes = {len(bits[seed]) for bits in (arm, other) for seed in seeds}
    if len(sizes) > 1 or 0 in sizes:
        raise ValueError(f"the arms have bits of {sorted(sizes)} test samples; they must have the same test set")
    x = np.stack([arm[seed].astype(np.int8) - other[seed].astype(np.int8) for seed in seeds])
    return _resampled(x)


def _resampled(x: Signs) -> ResampledDifference:
    n, num_samples = x.shape
    mean = float(x.mean())
    samples = _over_samples(x.mean(0))
    around = _Parts.of(x)
    if around is None:
        return ResampledDifference(n, num_samples, mean, _interval(mean + samples))
    both = mean + _over_seeds(x.mean(1)) + math.sqrt(around.share_of_samples) * samples
    return ResampledDifference(
        n,
        num_samples,
        mean,
        other_samples=_interval(mean + samples),
        other_seeds_and_samples=_interval(both) if n >= _LEAST_SEEDS else _NOTHING,
        std=math.sqrt(around.seeds),
        std_of_test_set=math.sqrt(around.rest),
        share_of_test_set=None if around.seeds == 0 else min(1.0, around.rest / around.seeds),
    )


@dataclass(frozen=True)
class _Parts:
    """The variances of an analysis of variance with two ways, without bias.

    Attributes:
        seeds: var(a) + var(e) / N: of the differences over seeds.
        rest: var(e) / N.
        share_of_samples: var(b) / (var(b) + var(e) / n): which part of the variance over samples, of the means over
            seeds, is the samples' own. The rest is already in the t interval.
    """

    seeds: float
    rest: float
    share_of_samples: float

    @staticmethod
    def of(x: Signs) -> "_Parts | None":
        """Return the parts; None below two seeds or two samples."""
        n, num_samples = x.shape
        if n < 2 or num_samples < 2:
            return None
        by_seed, by_sample = x.mean(1), x.mean(0)
        mean = x.mean()
        # Seed by seed: a matrix of floats would take eight times the memory of `x`.
        around = by_sample - mean
        left = sum(float(np.square(row - at_seed - around).sum()) for row, at_seed in zip(x, by_seed, strict=True))
        var_e = left / ((n - 1) * (num_samples - 1))
        of_samples = float(by_sample.var(ddof=1))
        own = max(0.0, of_samples - var_e / n)
        seeds = float(by_seed.var(ddof=1))
        # Equal differences have exactly no spread: rounding must not make one.
        seeds = 0.0 if seeds <= 1e-24 else seeds
        return _Parts(seeds, var_e / num_samples, own / of_samples if of_samples > 0 else 0.0)


def _over_samples(by_sample: Values) -> Values:
    """Return how far the mean over drawn samples is from that over all, `[B]`, from the means over seeds `[N]`."""
    num_samples, generator = len(by_sample), np.random.default_rng(SEED)
    rows = max(1, _CHUNK // num_samples)
    means = [
        by_sample[generator.integers(0, num_samples, size=(min(rows, DRAWS - start), num_samples))].mean(1)
        for start in range(0, DRAWS, rows)
    ]
    moved: Values = np.concatenate(means) - by_sample.mean()
    return moved


def _over_seeds(by_seed: Values) -> Values:
    """Return how far the mean over drawn seeds is from that over all, `[B]`, widened to the width of the t interval."""
    n, generator = len(by_seed), np.random.default_rng(SEED + 1)
    drawn = by_seed[generator.integers(0, n, size=(DRAWS, n))].mean(1)
    level = (1 + CONFIDENCE) / 2
    widening = math.sqrt(n / (n - 1)) * float(stdtrit(n - 1, level)) / float(ndtri(level))
    moved: Values = (drawn - by_seed.mean()) * widening
    return moved


def _interval(drawn: Values) -> Interval:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))
