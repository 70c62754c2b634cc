"""The comparison of an accuracy with chance.

Chance is the accuracy of a network that ignores its input: the larger of 1/K for K classes (it guesses) and the share
of the test set's largest class (it always answers this class). An accuracy is above chance if its whole 95 % interval
is above chance, and below it if the whole interval is below.

The interval is that of Clopper and Pearson, from the binomial distribution itself. It contains the true accuracy in at
least 95 % of cases, for any number of test samples. Approximate intervals (the normal one, Wilson's) contain it less
often if there are few samples or if the accuracy is near 0 or 1. So a network that guesses is called better than chance
in at most 2.5 % of cases.
"""

from functools import lru_cache

from scipy.special import betaincinv

from service.answers.chances import AgainstChance, ChanceView
from service.events import ClassCounts

CONFIDENCE = 0.95


def chance_level(test_set: ClassCounts) -> float:
    """Return chance, a fraction: the larger of 1/K and the share of the test set's largest class."""
    return max(1 / test_set.num_classes, test_set.num_majority / test_set.num_samples)


@lru_cache(maxsize=100_000)  # an experiment is shown again and again
def against_chance(accuracy: float, test_set: ClassCounts) -> ChanceView:
    """Compare an accuracy with chance.

    Args:
        accuracy: An accuracy on the test set, as a fraction, or the mean of such accuracies over seeds. All seeds are
            measured on the same samples, so a mean counts as one measurement: more seeds do not make the interval
            narrower.
        test_set: The counts of the test set.
    """
    low, high = binomial_interval(accuracy, test_set.num_samples)
    level = chance_level(test_set)
    if low > level:
        verdict = AgainstChance.ABOVE
    elif high < level:
        verdict = AgainstChance.BELOW
    else:
        verdict = AgainstChance.ALIKE
    return ChanceView(verdict=verdict, level=level, low=low, high=high, num_samples=test_set.num_samples)


def binomial_interval(share: float, num_samples: int) -> tuple[float, float]:
    """Return the 95 % interval (Clopper-Pearson) of a share that was measured on `num_samples` samples.

    Let n = num_samples and k = share * n, which need not be an integer. The lower end is the quantile (1 - 0.95) / 2 of
    Beta(k, n - k + 1), or 0 if k = 0. The upper end is the quantile (1 + 0.95) / 2 of Beta(k + 1, n - k), or 1 if
    k = n.
    """
    successes, tail = share * num_samples, (1 - CONFIDENCE) / 2
    failures = num_samples - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures > 0 else 1.0
    return low, high
