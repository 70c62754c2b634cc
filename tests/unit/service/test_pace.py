"""Tests of the pace of work and of durations."""

import pytest

from service.pace import Pace, duration


def test_the_time_left_follows_from_the_pace_so_far() -> None:
    now = [100.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.left_s("a", 10, 50) is None
    now[0] = 105.0
    assert pace.left_s("a", 10, 50) is None  # nothing has moved yet
    now[0] = 110.0
    assert pace.left_s("a", 20, 50) == pytest.approx(30)
    assert pace.left_s("b", 20, 50) is None  # each has a pace of its own


def test_waiting_time_does_not_count_for_the_pace() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.left_s("a", 0, 10, running=False) is None
    now[0] = 1000.0
    pace.left_s("a", 0, 10)
    now[0] = 1001.0
    assert pace.left_s("a", 1, 10) == pytest.approx(9)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (8.44, "8.4 s"), (125, "2:05"), (59.99, "60.0 s"), (10925.3, "3:02:05")]
)
def test_durations_are_in_seconds_or_with_minutes_and_hours(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
