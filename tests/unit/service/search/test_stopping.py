"""Tests of early stopping: successive halving at rungs, and the median of averages."""

import pytest
from pydantic import TypeAdapter

from service.search.stopping import judged
from service.spec.search import Asha, EarlyStopping, MedianStopping

RULES: TypeAdapter[EarlyStopping] = TypeAdapter(EarlyStopping)
ASHA = Asha(name="asha", reduction_factor=3)
MEDIAN = MedianStopping(name="median")


def test_each_rung_is_a_factor_times_the_rung_before() -> None:
    rule = Asha(name="asha", grace_epochs=2, reduction_factor=3)
    assert [epoch for epoch in range(1, 60) if rule.judges_at(epoch)] == [2, 6, 18, 54]


def test_median_stopping_judges_at_intervals_from_the_grace_epoch_on() -> None:
    rule = MedianStopping(name="median", grace_epochs=3, interval_epochs=2)
    assert [epoch for epoch in range(1, 10) if rule.judges_at(epoch)] == [3, 5, 7, 9]


def test_the_first_configuration_at_a_rung_continues() -> None:
    assert judged(ASHA, [0.1], []).goes_on


@pytest.mark.parametrize(("value", "goes_on"), [(0.95, True), (0.75, True), (0.65, False), (0.05, False)])
def test_at_a_rung_the_best_third_continues(value: float, goes_on: bool) -> None:
    others = [[0.1], [0.7], [0.2], [0.9], [0.3]]
    assert judged(ASHA, [value], others).goes_on is goes_on


def test_the_number_of_configurations_that_continue_is_rounded_up() -> None:
    assert judged(ASHA, [0.5], [[0.9], [0.1], [0.2]]).goes_on  # the second of four
    assert not judged(ASHA, [0.5], [[0.9], [0.1]]).goes_on  # the second of three


def test_of_equal_configurations_at_a_rung_the_first_continues() -> None:
    assert not judged(ASHA, [0.1], [[0.1], [0.1]]).goes_on


def test_a_rung_compares_the_accuracies_of_its_own_epoch() -> None:
    assert judged(ASHA, [0.0, 0.9], [[0.9, 0.8], [0.9, 0.7], [0.9, 0.6]]).goes_on
    assert not judged(ASHA, [0.9, 0.5], [[0.1, 0.8], [0.1, 0.7], [0.1, 0.6]]).goes_on


def test_a_judgement_gives_its_reason_in_numbers() -> None:
    reason = judged(ASHA, [0.1], [[0.2], [0.3], [0.4], [0.5], [0.6]]).reason
    assert reason == "10.00% on validation is number 6 of 6 that reached this rung; the best 2 continue"


def test_median_stopping_compares_the_best_value_with_the_others_averages_so_far() -> None:
    others = [[0.0, 0.8], [0.2, 0.2], [0.6, 0.8]]  # averages 0.4, 0.2, 0.7
    assert judged(MEDIAN, [0.4, 0.1], others).goes_on  # its best value equals the median
    assert not judged(MEDIAN, [0.39, 0.3], others).goes_on


def test_median_stopping_stops_none_while_few_others_reached_the_epoch() -> None:
    assert judged(MEDIAN, [0.0], [[0.9], [0.9]]).goes_on


def test_a_rule_is_found_by_its_name() -> None:
    assert RULES.validate_python({"name": "asha"}) == Asha(name="asha")
