"""When a network counts as dead or saturated."""

from service.runner import health
from service.runner.stage_folder import Commit
from service.spec_blocks import HealthLimits


def commits(*epochs: dict[str, float]) -> list[Commit]:
    return [
        Commit(
            epoch=number, epochs=9, attempt=1, at_ms=0, metrics={}, checkpoint="", weights_sha256="", out_of_range=rates
        )
        for number, rates in enumerate(epochs, 1)
    ]


def test_a_layer_is_out_of_range_where_it_never_fires_or_always() -> None:
    rates = {"a": 0.0, "b": 0.3, "c": 1.0}
    assert health.out_of_range(rates, HealthLimits()) == {"a": 0.0, "c": 1.0}
    assert health.out_of_range(rates, HealthLimits(min_rate=0.4)) == {"a": 0.0, "b": 0.3, "c": 1.0}


def test_it_takes_as_many_epochs_in_a_row_of_one_layer() -> None:
    limits = HealthLimits(patience=2)
    assert health.trouble(commits({"a": 0.0}), limits) is None
    assert health.trouble(commits({"a": 0.0}, {}, {"a": 0.0}), limits) is None
    assert health.trouble(commits({"a": 0.0}, {"b": 0.0}), limits) is None
    assert health.trouble(commits({}, {"a": 0.0, "b": 0.0}, {"b": 0.0}), limits) == (
        "layer b is silent: a firing rate of 0 in each of the last 2 epochs, where limits.health.min_rate is 0; "
        "a lower v_threshold, a larger tau or a norm (tdbn) may help"
    )


def test_a_saturated_layer_is_named_with_its_rate() -> None:
    said = health.trouble(commits({"a": 0.95}), HealthLimits(max_rate=0.9, patience=1))
    assert said is not None
    assert said.startswith(
        "layer a is saturated: a firing rate of 0.95 in the last epoch, where limits.health.max_rate"
    )
