"""The comparison of an experiment: each arm over its seeds, and each arm against the baseline, seed by seed.

At one seed all arms share initial weights, data order and augmentation draws, so the seed has no effect on their
difference. The interval is Student's t over these differences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """The result of one chain.

    Attributes:
        accuracy: Test accuracy after its last epoch, a fraction.
        train_time_s: Training time of all its committed epochs.
        initial_sha256: Hash of the weights that its first stage started from; None if it was not recorded.
    """

    accuracy: float
    train_time_s: float
    initial_sha256: str | None = None


@dataclass(frozen=True)
class PairedDifference:
    """An arm's accuracy minus the baseline's, over the `n` seeds present in both.

    `low` and `high` bound the 95 % interval of the mean difference; they are None for fewer than two pairs. If the
    arms cannot be paired, `reason` says why, and `difference` is None too.
    """

    difference: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True)
class ArmResult:
    """An arm over its `n` seeds: `values` are the accuracies in the order of the seeds; `std` is the sample's."""

    name: str
    n: int
    mean: float | None
    std: float | None
    values: tuple[float, ...]
    train_time_s: float | None
    versus_baseline: PairedDifference | None


@dataclass(frozen=True)
class Comparison:
    """All arms of an experiment, in the spec's order."""

    baseline: str
    arms: tuple[ArmResult, ...]


def compare_arms(arms: Sequence[str], baseline: str, results: Mapping[str, Mapping[int, Result]]) -> Comparison:
    """Compare the arms by the chains that have succeeded so far.

    Args:
        arms: Names of all arms, in the order of the answer.
        baseline: The name of the arm that the others are compared with.
        results: For each arm, the result at each seed; an arm without results may be missing.
    """
    of_baseline = results.get(baseline, {})
    compared = []
    for name in arms:
        versus = None if name == baseline else paired_difference(results.get(name, {}), of_baseline)
        compared.append(_arm_result(name, results.get(name, {}), versus))
    return Comparison(baseline, tuple(compared))


def _arm_result(name: str, results: Mapping[int, Result], versus: PairedDifference | None) -> ArmResult:
    values = tuple(result.accuracy for result in results.values())
    return ArmResult(
        name=name,
        n=len(values),
        mean=fmean(values) if values else None,
        std=stdev(values) if len(values) > 1 else None,
        values=values,
        train_time_s=fmean(result.train_time_s for result in results.values()) if results else None,
        versus_baseline=versus,
    )


def paired_difference(results: Mapping[int, Result], baseline: Mapping[int, Result]) -> PairedDifference:
    """Return the mean of results minus baseline over common seeds, with its 95 % interval.

    mean(d) ± t(0.975, n - 1) * std(d) / sqrt(n), for the differences d at n seeds.
    """
    seeds = [seed for seed in results if seed in baseline]
    for seed in seeds:
        weights, of_baseline = results[seed].initial_sha256, baseline[seed].initial_sha256
        if weights is not None and of_baseline is not None and weights != of_baseline:
            reason = (
                f"at seed {seed} the two arms started from different weights, {weights[:12]} and {of_baseline[:12]}"
            )
            return PairedDifference(None, None, None, len(seeds), reason)
    differences = [results[seed].accuracy - baseline[seed].accuracy for seed in seeds]
    n = len(differences)
    if n < 2:
        return PairedDifference(differences[0] if differences else None, None, None, n)
    mean = fmean(differences)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stdev(differences) / math.sqrt(n)
    return PairedDifference(mean, mean - half, mean + half, n)
