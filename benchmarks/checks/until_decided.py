"""Error rates of `until: decided`: how often it is wrong, and when it decides, for several kinds of differences.

    python -m benchmarks.checks.until_decided

It simulates experiments with the service's own rule. With Gaussian differences of mean 0, at most 6 % of the
experiments may end with a verdict, with 1, 2 and 4 pairs; at a true difference of 1.5 standard deviations, the median
must be at most 9 seeds. The guarantee does not cover other differences; their rates are measured and written down.
"""

import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results_file import write
from service.statistics.until import PairDecision, decide_pair, stop_goal

EXPERIMENTS, SEED, AT_MOST, MANY = 10_000, 0, 30, 200
WRONG_AT_MOST, MEDIAN_AT_MOST = 0.06, 9

Draws = np.random.Generator
# Draws differences of mean 0, of a shape [experiments, seeds].
Null = Callable[[Draws, tuple[int, int]], NDArray[np.float64]]

NULLS: dict[str, Null] = {
    "gaussian": lambda draws, shape: draws.normal(size=shape),
    "exponential": lambda draws, shape: draws.exponential(size=shape) - 1,
    "t3": lambda draws, shape: draws.standard_t(3, size=shape),
    # Accuracies have steps of one test image. These differences have a standard deviation of one step and of a third.
    "lattice, fine": lambda draws, shape: np.round(draws.normal(size=shape)),
    "lattice, coarse": lambda draws, shape: draws.choice([-1.0, 0.0, 1.0], p=[0.055, 0.89, 0.055], size=shape),
}


def decisions(differences: NDArray[np.float64], num_pairs: int = 1) -> list[PairDecision | None]:
    """Return the decision on each row of differences, as one of a number of pairs of an experiment."""
    goal = stop_goal(num_pairs, None, None)
    return [decide_pair(row, goal) for row in differences.tolist()]


def false_verdicts(null: Null) -> dict[str, float]:
    """Return the share of experiments of one pair with a false verdict, within 30 and within 200 seeds."""
    found = decisions(null(np.random.default_rng(SEED), (EXPERIMENTS, MANY)))
    return {str(n): sum(each is not None and each.n <= n for each in found) / len(found) for n in (AT_MOST, MANY)}


def false_verdicts_of_pairs(num_pairs: int) -> float:
    """Return the same for experiments in which several arms meet one baseline: a verdict on any pair counts."""
    draws = np.random.default_rng(SEED)
    baseline = draws.normal(size=(EXPERIMENTS, AT_MOST))
    arms = (draws.normal(size=baseline.shape) - baseline for _ in range(num_pairs))
    of_pairs = [decisions(differences, num_pairs) for differences in arms]
    return sum(any(each is not None for each in found) for found in zip(*of_pairs, strict=True)) / EXPERIMENTS


def seeds_to_decide(effect: float, num_pairs: int) -> float:
    """Return the median number of seeds after which a pair is decided whose mean is `effect` standard deviations."""
    draws = np.random.default_rng(SEED)
    found = decisions(draws.normal(effect, 1, size=(EXPERIMENTS, MANY)), num_pairs)
    return median(MANY + 1 if each is None else each.n for each in found)


def main() -> int:
    """Simulate; return 1 if a Gaussian rate or the median is too high."""
    pairs = (1, 2, 4)
    result: dict[str, Any] = {
        "experiments": EXPERIMENTS,
        "false_verdicts": {name: false_verdicts(null) for name, null in NULLS.items()},
        "false_verdicts_of_pairs": {str(number): false_verdicts_of_pairs(number) for number in pairs},
        "median_seeds": {
            str(effect): {str(number): seeds_to_decide(effect, number) for number in pairs}
            for effect in (0.5, 1.0, 1.5, 2.0)
        },
    }
    print(write("until_decided", ["numpy"], result).read_text(encoding="utf-8"))
    gaussian = [*result["false_verdicts"]["gaussian"].values(), *result["false_verdicts_of_pairs"].values()]
    return int(max(gaussian) > WRONG_AT_MOST or result["median_seeds"]["1.5"]["1"] > MEDIAN_AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
