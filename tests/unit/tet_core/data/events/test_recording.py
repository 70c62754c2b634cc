"""Tests of the frames of a recording: every event is counted once, at its place, in its slice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tet_core.data import DataError
from tet_core.data.events.recording import Events, Slicing, frames, in_time_order

Row = tuple[int, int, int, int]  # t, x, y, p


def events(*rows: Row) -> Events:
    return Events(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def cut(recording: Events, T: int, slicing: Slicing = "count", sensor: int = 4, size: int = 4) -> NDArray[np.int16]:
    assert slicing in ("count", "time")
    return frames(
        recording, T, "count" if slicing == "count" else "time", sensor_size=sensor, input_size=size, name="r"
    )


# Seven events within 100 µs on 4x4 pixels; two of them have the same place, time and polarity.
SEVEN = events((0, 0, 0, 1), (10, 3, 0, 0), (10, 3, 0, 0), (20, 1, 2, 1), (49, 3, 3, 1), (50, 0, 0, 1), (100, 2, 3, 0))


def test_frames_of_equal_count_are_those_computed_by_hand() -> None:
    expected = np.zeros((3, 2, 2, 2), np.int16)  # 7 events: boundaries 0, 2, 4, 7; 4x4 pixels become 2x2
    expected[0, 1, 0, 0] = 1
    expected[0, 0, 0, 1] = 1
    expected[1, 0, 0, 1] = 1
    expected[1, 1, 1, 0] = 1
    expected[2, 1, 1, 1] = 1
    expected[2, 1, 0, 0] = 1
    expected[2, 0, 1, 1] = 1
    np.testing.assert_array_equal(cut(SEVEN, 3, "count", size=2), expected)


def test_frames_of_equal_time_are_those_computed_by_hand() -> None:
    expected = np.zeros((2, 2, 4, 4), np.int16)  # [0, 50) and [50, 100]
    expected[0, 1, 0, 0] = 1
    expected[0, 0, 0, 3] = 2
    expected[0, 1, 2, 1] = 1
    expected[0, 1, 3, 3] = 1
    expected[1, 1, 0, 0] = 1
    expected[1, 0, 3, 2] = 1
    np.testing.assert_array_equal(cut(SEVEN, 2, "time"), expected)


rows = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 127), st.integers(0, 127), st.integers(0, 1)), max_size=60
)


@given(rows, st.integers(1, 12), st.sampled_from(["count", "time"]), st.sampled_from([1, 5, 48, 128, 200]))
def test_every_event_is_counted_once(drawn: list[Row], T: int, slicing: Slicing, size: int) -> None:
    found = cut(events(*drawn), T, slicing, sensor=128, size=size)
    assert found.shape == (T, 2, size, size)
    assert found.sum() == len(drawn)
    assert found[:, 1].sum() == sum(p for *_, p in drawn)
    if slicing == "count":
        sizes = found.sum((1, 2, 3))
        assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("slicing", ["count", "time"])
def test_times_out_of_order_are_sorted(slicing: Slicing) -> None:
    shuffled = Events(*(values[[6, 1, 0, 5, 2, 3, 4]] for values in SEVEN))
    np.testing.assert_array_equal(cut(shuffled, 3, slicing), cut(SEVEN, 3, slicing))


def test_events_of_equal_time_keep_their_order() -> None:
    found = in_time_order(events((5, 0, 0, 0), (3, 1, 0, 0), (5, 2, 0, 0), (3, 3, 0, 0)))
    assert found.x.tolist() == [1, 3, 0, 2]


def test_a_time_counter_that_wraps_is_continued() -> None:
    last = 2**32 - 1
    found = in_time_order(events((last - 5, 0, 0, 0), (3, 1, 0, 0), (last, 2, 0, 0), (4, 3, 0, 0)))
    assert found.x.tolist() == [0, 2, 1, 3]
    assert (found.t - found.t[0]).tolist() == [0, 5, 9, 10]


@pytest.mark.parametrize("slicing", ["count", "time"])
def test_an_empty_recording_gives_frames_of_zeros(slicing: Slicing) -> None:
    found = cut(events(), 3, slicing)
    assert found.shape == (3, 2, 4, 4)
    assert not found.any()


@pytest.mark.parametrize("slicing", ["count", "time"])
def test_a_single_event_is_in_the_last_frame(slicing: Slicing) -> None:
    found = cut(events((7, 2, 1, 1)), 3, slicing)
    assert found[2, 1, 1, 2] == 1
    assert found.sum() == 1


def test_events_at_one_time_are_all_in_the_last_frame_if_slices_have_equal_time() -> None:
    assert cut(events(*[(7, 2, 1, 1)] * 5), 3, "time").sum((1, 2, 3)).tolist() == [0, 0, 5]
    assert cut(events(*[(7, 2, 1, 1)] * 5), 3, "count").sum((1, 2, 3)).tolist() == [1, 2, 2]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((0, 4, 0, 0), r"^r: event 1 has x = 4, which is not from 0 to 3 \(1 of 3 events"),
        ((0, -1, 0, 0), "event 1 has x = -1"),
        ((0, 0, 9, 0), "event 1 has y = 9, which is not from 0 to 3"),
        ((0, 0, 0, 2), "event 1 has p = 2, which is not from 0 to 1"),
    ],
)
def test_an_event_out_of_range_is_named(row: Row, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        cut(events((9, 0, 0, 0), row, (0, 1, 1, 1)), 2)


def test_a_count_beyond_int16_is_refused() -> None:
    many = Events(*(np.repeat(values, 40_000) for values in events((0, 1, 1, 1))))
    assert cut(many, 2).max() == 20_000
    with pytest.raises(DataError, match="r: one pixel has 40000 events in one of 1 frames of 4x4; at most 32767"):
        cut(many, 1)
