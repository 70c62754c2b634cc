"""Tests of the rounding of means and their differences."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.answers.rounding import EXACT_ZERO, PairedMeans, digits_for, in_percent, percent, points


def means(arm: float, baseline: float, half: float | None = None) -> PairedMeans:
    difference = arm - baseline
    low, high = (None, None) if half is None else (difference - half, difference + half)
    return PairedMeans(arm, baseline, difference, low, high)


def test_two_digits_are_enough_if_the_difference_then_agrees_with_the_means() -> None:
    assert digits_for([means(0.91, 0.90)]) == 2
    assert digits_for([]) == 2
    assert digits_for([means(0.5, 0.5)]) == 2


def test_a_difference_that_two_digits_hide_is_shown_with_more() -> None:
    small = means(0.19304, 0.19296)
    assert digits_for([small]) == 3
    assert points(small.shown_difference(3)) == "+0.008"
    tiny = means(0.5000001, 0.5)
    assert digits_for([tiny]) == 5
    assert points(tiny.shown_difference(5)) == "+0.00001"


def test_a_difference_agrees_with_the_means_beside_it() -> None:
    # With two digits, the means differ by 92.47 - 91.23 = 1.24, but the difference is 1.23.
    pair = means(0.92468, 0.91234)
    assert digits_for([pair]) == 3
    assert [percent(pair.arm, 3), percent(pair.baseline, 3)] == ["92.468", "91.234"]
    assert points(pair.shown_difference(3)) == "+1.234"


def test_a_rounding_error_of_floats_is_no_difference() -> None:
    pair = means(0.3 - 0.1, 0.2)
    assert pair.difference != 0
    assert digits_for([pair]) == 2
    assert points(pair.shown_difference(2)) == "0.00"


@pytest.mark.parametrize(("fraction", "text"), [(None, "-"), (0.98765, "98.77"), (-1e-9, "0.00"), (1.0, "100.00")])
def test_a_fraction_is_shown_in_percent(fraction: float | None, text: str) -> None:
    assert percent(fraction) == text


ACCURACIES = st.integers(0, 30_000).map(lambda correct: correct / 30_000)  # 10,000 test samples, three seeds


@given(st.lists(st.tuples(ACCURACIES, st.sampled_from([None, 0.0, 0.001, 0.1])), max_size=8), ACCURACIES)
def test_every_shown_difference_is_that_of_the_shown_means(
    arms: list[tuple[float, float | None]], baseline: float
) -> None:
    pairs = [means(arm, baseline, half) for arm, half in arms]
    digits = digits_for(pairs)
    assert digits <= 5
    for pair in pairs:
        shown = pair.shown_difference(digits)
        assert shown == Decimal(percent(pair.arm, digits)) - Decimal(percent(baseline, digits))
        assert (shown == 0) is (abs(pair.difference) < EXACT_ZERO)
        assert abs(shown - in_percent(pair.difference, 12)) <= Decimal("0.01")
        if (ends := pair.shown_interval(digits)) is not None:
            assert ends[0] <= shown <= ends[1]
