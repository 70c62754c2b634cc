"""Who goes on: successive halving at rungs, and the median of averages."""

import pytest
from pydantic import TypeAdapter

from service.search.stopping import judged
from service.spec.search import Asha, EarlyStopping, MedianStopping

RULES: TypeAdapter[EarlyStopping] = TypeAdapter(EarlyStopping)
ASHA = Asha(name="asha", reduction_factor=3)
MEDIAN = MedianStopping(name="median")


def test_rungs_are_a_factor_apart() -> None:
    rule = Asha(name="asha", grace_epochs=2, reduction_factor=3)
    assert [epoch for epoch in range(1, 60) if rule.judges_at(epoch)] == [2, 6, 18, 54]


def test_the_median_is_looked_at_from_the_grace_on_at_intervals() -> None:
    rule = MedianStopping(name="median", grace_epochs=3, interval_epochs=2)
    assert [epoch for epoch in range(1, 10) if rule.judges_at(epoch)] == [3, 5, 7, 9]


def test_the_first_at_a_rung_goes_on() -> None:
    assert judged(ASHA, [0.1], []).goes_on


@pytest.mark.parametrize(("value", "goes_on"), [(0.95, True), (0.75, True), (0.65, False), (0.05, False)])
def test_at_a_rung_the_best_third_goes_on(value: float, goes_on: bool) -> None:
    others = [[0.1], [0.7], [0.2], [0.9], [0.3]]
    assert judged(ASHA, [value], others).goes_on is goes_on


def test_what_goes_on_is_rounded_up() -> None:
    assert judged(ASHA, [0.5], [[0.9], [0.1], [0.2]]).goes_on  # the second of four
    assert not judged(ASHA, [0.5], [[0.9], [0.1]]).goes_on  # the second of three


def test_of_equals_at_a_rung_the_first_goes_on() -> None:
    assert not judged(ASHA, [0.1], [[0.1], [0.1]]).goes_on


def test_a_rung_looks_at_its_own_epoch_and_not_at_earlier_ones() -> None:
    assert judged(ASHA, [0.0, 0.9], [[0.9, 0.8], [0.9, 0.7], [0.9, 0.6]]).goes_on
    assert not judged(ASHA, [0.9, 0.5], [[0.1, 0.8], [0.1, 0.7], [0.1, 0.6]]).goes_on


def test_a_judgement_says_what_it_rests_on() -> None:
    said = judged(ASHA, [0.1], [[0.2], [0.3], [0.4], [0.5], [0.6]]).reason
    assert said == "10.00% on validation is number 6 of 6 that got here; the best 2 go on"


def test_the_median_is_that_of_the_others_running_averages() -> None:
    others = [[0.0, 0.8], [0.2, 0.2], [0.6, 0.8]]  # averages 0.4, 0.2, 0.7
    assert judged(MEDIAN, [0.4, 0.1], others).goes_on  # its best, as good as the median
    assert not judged(MEDIAN, [0.39, 0.3], others).goes_on


def test_few_others_say_nothing() -> None:
    assert judged(MEDIAN, [0.0], [[0.9], [0.9]]).goes_on


def test_a_rule_has_a_name() -> None:
    assert RULES.validate_python({"name": "asha"}) == Asha(name="asha")
