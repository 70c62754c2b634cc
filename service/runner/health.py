"""Whether a network still computes anything: layers that never fire, or fire all the time, by what is committed."""

from collections.abc import Mapping, Sequence

from service.runner.stage_folder import Commit
from service.spec_blocks import HealthLimits


def out_of_range(rates: Mapping[str, float], limits: HealthLimits) -> dict[str, float]:
    """The layers, with their firing rates, that are silent or saturated."""
    return {name: rate for name, rate in rates.items() if not limits.min_rate < rate < limits.max_rate}


def trouble(commits: Sequence[Commit], limits: HealthLimits) -> str | None:
    """What is wrong, if a layer has been out of range for as many epochs in a row, up to the last, as it may.

    Args:
        commits: What is committed of the stage, in order.
        limits: The spec's.
    """
    latest = commits[-limits.patience :]
    if len(latest) < limits.patience:
        return None
    for name, rate in latest[-1].out_of_range.items():
        if all(name in commit.out_of_range for commit in latest):
            return _in_words(name, rate, len(latest), limits)
    return None


def _in_words(name: str, rate: float, epochs: int, limits: HealthLimits) -> str:
    since = f"in each of the last {epochs} epochs" if epochs > 1 else "in the last epoch"
    if rate <= limits.min_rate:
        what = f"is silent: a firing rate of {rate:.4g} {since}, where limits.health.min_rate is {limits.min_rate:g}"
        return f"layer {name} {what}; a lower v_threshold, a larger tau or a norm (tdbn) may help"
    what = f"is saturated: a firing rate of {rate:.4g} {since}, where limits.health.max_rate is {limits.max_rate:g}"
    return f"layer {name} {what}; a higher v_threshold, a smaller tau or a lower optimizer.lr may help"
