"""Tests of the limits at which a network counts as dead, saturated or cut off."""

from service.runner.commits.records import Commit, Layer
from service.runner.trial import health_limits
from service.spec.blocks import HealthLimits

WELL, SILENT, DEAD, CUT_OFF = (0.3, 0.5), (0.0, 0.1), (0.0, 0.0), (0.4, 0.0)


def commits(*epochs: dict[str, tuple[float, float]]) -> list[Commit]:
    return [
        Commit(
            epoch=number,
            epochs=9,
            attempt=1,
            at_ms=0,
            metrics={},
            checkpoint="",
            weights_sha256="",
            layers={name: Layer(firing_rate=rate, gradient=gradient) for name, (rate, gradient) in layers.items()},
        )
        for number, layers in enumerate(epochs, 1)
    ]


def test_a_layer_is_unhealthy_after_as_many_epochs_in_a_row_as_its_patience() -> None:
    limits = HealthLimits(patience=2)
    assert health_limits.unhealthy_layer(commits({"a": DEAD}), limits) is None
    assert health_limits.unhealthy_layer(commits({"a": DEAD}, {"a": WELL}, {"a": DEAD}), limits) is None
    assert health_limits.unhealthy_layer(commits({"a": DEAD, "b": WELL}, {"a": WELL, "b": DEAD}), limits) is None
    last = {"a": WELL, "b": DEAD}
    assert health_limits.unhealthy_layer(commits({"a": WELL, "b": WELL}, {"a": DEAD, "b": DEAD}, last), limits) == (
        "layer b is silent: a firing rate of 0 in each of the last 2 epochs, where limits.health.min_rate is 0; "
        "a lower v_threshold, a larger tau or a norm (tdbn) may help"
    )


def test_a_silent_layer_that_lets_a_gradient_through_has_a_longer_patience() -> None:
    limits = HealthLimits(patience=2)
    assert health_limits.unhealthy_layer(commits(*[{"a": SILENT}] * 9), limits) is None
    message = health_limits.unhealthy_layer(commits(*[{"a": SILENT}] * 10), limits)
    assert message is not None
    assert message.startswith("layer a is silent: a firing rate of 0 in each of the last 10 epochs")


def test_a_saturated_layer_is_named_with_its_rate() -> None:
    message = health_limits.unhealthy_layer(commits({"a": (0.95, 0.5)}), HealthLimits(max_rate=0.9, patience=1))
    assert message is not None
    assert message.startswith(
        "layer a is saturated: a firing rate of 0.95 in the last epoch, where limits.health.max_rate"
    )


def test_a_layer_that_lets_no_gradient_through_is_named_with_its_share() -> None:
    message = health_limits.unhealthy_layer(commits({"a": WELL, "b": CUT_OFF}), HealthLimits(patience=1))
    assert message is not None
    assert message.startswith(
        "layer b lets no gradient through: 0 of the surrogate's largest derivative in the last epoch"
    )
    message = health_limits.unhealthy_layer(commits({"a": (0.4, 0.02)}), HealthLimits(patience=1, min_gradient=0.05))
    assert message is not None
    assert "where limits.health.min_gradient is 0.05" in message


def test_the_cause_is_named_before_its_consequence() -> None:
    message = health_limits.unhealthy_layer(commits({"a": CUT_OFF, "b": DEAD}), HealthLimits(patience=1))
    assert message is not None
    assert message.startswith("layer b is silent")


def test_a_healthy_network_has_no_unhealthy_layer() -> None:
    assert health_limits.unhealthy_layer(commits(*[{"a": WELL}] * 5), HealthLimits(patience=1)) is None
    assert health_limits.unhealthy_layer([], HealthLimits(patience=1)) is None
