"""The health of a network: whether its layers still compute and learn, by the commits of its stage."""

from collections.abc import Sequence

from service.runner.commits.records import Commit, Layer
from service.spec.blocks import HealthLimits

# The factor by which the patience, in epochs, is longer for a silent layer that lets a gradient through. Such a layer
# may start to fire, as last layers without a norm do in their first epochs.
SLEEPERS_PATIENCE = 5


def unhealthy_layer(commits: Sequence[Commit], limits: HealthLimits) -> str | None:
    """Return a message if a layer was out of the limits in each of the last `patience` epochs; otherwise None.

    A dead layer (it never fires and lets no gradient through) and a saturated one are named before a layer that only
    lets no gradient through, because they can be its cause.

    Args:
        commits: The stage's commits, in order.
        limits: The spec's limits.
    """
    for is_out, in_words, patience in (
        (_is_dead, _of_rate, limits.patience),
        (_is_saturated, _of_rate, limits.patience),
        (_lets_nothing_through, _of_gradient, limits.patience),
        (_is_silent, _of_rate, limits.patience * SLEEPERS_PATIENCE),
    ):
        latest = commits[-patience:]
        for name, layer in latest[-1].layers.items() if len(latest) == patience else ():
            if all(name in commit.layers and is_out(commit.layers[name], limits) for commit in latest):
                since = f"in each of the last {patience} epochs" if patience > 1 else "in the last epoch"
                return f"layer {name} {in_words(layer, limits, since)}"
    return None


def _is_dead(layer: Layer, limits: HealthLimits) -> bool:
    return _is_silent(layer, limits) and _lets_nothing_through(layer, limits)


def _is_silent(layer: Layer, limits: HealthLimits) -> bool:
    return not layer.firing_rate > limits.min_rate


def _is_saturated(layer: Layer, limits: HealthLimits) -> bool:
    return not layer.firing_rate < limits.max_rate


def _lets_nothing_through(layer: Layer, limits: HealthLimits) -> bool:
    return not layer.gradient > limits.min_gradient


def _of_rate(layer: Layer, limits: HealthLimits, since: str) -> str:
    rate = f"a firing rate of {layer.firing_rate:.4g} {since}"
    if layer.firing_rate <= limits.min_rate:
        return (
            f"is silent: {rate}, where limits.health.min_rate is {limits.min_rate:g}; "
            "a lower v_threshold, a larger tau or a norm (tdbn) may help"
        )
    return (
        f"is saturated: {rate}, where limits.health.max_rate is {limits.max_rate:g}; "
        "a higher v_threshold, a smaller tau or a lower optimizer.lr may help"
    )


def _of_gradient(layer: Layer, limits: HealthLimits, since: str) -> str:
    return (
        f"lets no gradient through: {layer.gradient:.4g} of the surrogate's largest derivative {since}, where "
        f"limits.health.min_gradient is {limits.min_gradient:g}; a larger surrogate.gamma, a lower optimizer.lr or a "
        "norm (tdbn) may help"
    )
