"""Whether a network still computes and learns anything, by what is committed of its layers."""

import math
from collections.abc import Sequence

from service.runner.stage_folder import Commit, Layer
from service.spec_blocks import HealthLimits

# By then less than 0.003 % of the norms' running statistics is what they began with. Until then layers that train well
# may be silent where the network is measured, deep ones of a small data set for several epochs.
SETTLED_BATCHES = 100


def first_judged(num_batches: int, epochs_before: int) -> int:
    """The first epoch of a stage by which its layers may be judged: the norms' running statistics have settled.

    Args:
        num_batches: How many an epoch trains on.
        epochs_before: Those that the chain was trained before the stage.
    """
    return max(1, math.ceil(SETTLED_BATCHES / num_batches) - epochs_before)


def trouble(commits: Sequence[Commit], limits: HealthLimits, first: int = 1) -> str | None:
    """What is wrong, if a layer has been out of range for as many epochs in a row, up to the last, as it may.

    What fires never or always is told before what lets no gradient through: the one is a reason for the other.

    Args:
        commits: What is committed of the stage, in order.
        limits: The spec's.
        first: The first epoch that counts, see `first_judged`.
    """
    latest = [commit for commit in commits[-limits.patience :] if commit.epoch >= first]
    if len(latest) < limits.patience:
        return None
    for is_out, in_words in ((_fires_badly, _of_rate), (_lets_nothing_through, _of_gradient)):
        for name, layer in latest[-1].layers.items():
            if all(name in commit.layers and is_out(commit.layers[name], limits) for commit in latest):
                since = f"in each of the last {len(latest)} epochs" if len(latest) > 1 else "in the last epoch"
                return f"layer {name} {in_words(layer, limits, since)}"
    return None


def _fires_badly(layer: Layer, limits: HealthLimits) -> bool:
    return not limits.min_rate < layer.firing_rate < limits.max_rate


def _lets_nothing_through(layer: Layer, limits: HealthLimits) -> bool:
    return not layer.gradient > limits.min_gradient


def _of_rate(layer: Layer, limits: HealthLimits, since: str) -> str:
    told = f"a firing rate of {layer.firing_rate:.4g} {since}"
    if layer.firing_rate <= limits.min_rate:
        return (
            f"is silent: {told}, where limits.health.min_rate is {limits.min_rate:g}; "
            "a lower v_threshold, a larger tau or a norm (tdbn) may help"
        )
    return (
        f"is saturated: {told}, where limits.health.max_rate is {limits.max_rate:g}; "
        "a higher v_threshold, a smaller tau or a lower optimizer.lr may help"
    )


def _of_gradient(layer: Layer, limits: HealthLimits, since: str) -> str:
    return (
        f"lets no gradient through: {layer.gradient:.4g} of the surrogate's largest derivative {since}, where "
        f"limits.health.min_gradient is {limits.min_gradient:g}; a larger surrogate.gamma, a lower optimizer.lr or a "
        "norm (tdbn) may help"
    )
