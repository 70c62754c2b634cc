"""Tests of work that is repeated sparingly."""

from service.runner.sparing import Sparing


def test_work_is_due_at_intervals_and_takes_one_percent_of_the_time_at_most() -> None:
    now = [100.0]
    sparing = Sparing(5.0, lambda: now[0])
    assert sparing.is_due()
    sparing.done()
    now[0] = 104.9
    assert not sparing.is_due()
    now[0] = 105.0
    assert sparing.is_due()
    now[0] = 107.0  # the work took 2 s
    sparing.done()
    now[0] = 306.9
    assert not sparing.is_due()
    now[0] = 307.0
    assert sparing.is_due()
