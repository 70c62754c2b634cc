"""A recording of events, and its frames: the number of events of each pixel in each slice of time.

Shapes: N events, T slices, S: the width and height of the network's input, in pixels.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tet_core.data.dataset import DataError

Ints = NDArray[np.int64]
Slicing = Literal["count", "time"]
NUM_POLARITIES = 2
COUNT = np.int16  # dtype of a count: up to 32,767; the largest counts of CIFAR10-DVS are far smaller
_WRAP = 1 << 32  # AEDAT counts microseconds in 32 bits: the counter wraps after 71.6 minutes


class Events(NamedTuple):
    """Events in the order in which they were recorded.

    Attributes:
        t: `[N]`, int64: times in µs from a moment that the camera chooses.
        x: `[N]`, int64: columns, from 0.
        y: `[N]`, int64: rows, from 0.
        p: `[N]`, int64: polarity, 0 or 1.
    """

    t: Ints
    x: Ints
    y: Ints
    p: Ints


def frames(
    events: Events, T: int, slicing: Slicing, *, sensor_size: int, input_size: int, name: str
) -> NDArray[np.int16]:
    """Cut a recording into T slices, and count the events of each pixel and polarity in each slice.

    `frame[k, p, floor(y S / sensor_size), floor(x S / sensor_size)]` is the number of events in slice k. Every event is
    counted once, even if several events coincide. A recording without events gives zeros.

    Args:
        events: The recording; it is first sorted by time, and events of equal time keep their order.
        T: Number of slices.
        slicing: "count": slice k has the events from `floor(k N / T)` to below `floor((k + 1) N / T)`, so that the
            numbers of events differ by at most one. "time": k = `floor(T (t - first) / (last - first))`, and the last
            event's time belongs to the last slice; if all times are equal, all events are in the last slice.
        sensor_size: The width and height of the camera's array, in pixels.
        input_size: S. If it is larger than `sensor_size`, some pixels get no event.
        name: The recording's name, for errors.

    Returns:
        `[T, 2, S, S]`, int16; channel 0 has polarity 0.

    Raises:
        DataError: If a coordinate or polarity is out of range, or a pixel has more events than int16 holds.

    Source: Deng et al., ICLR 2022, section 5: slices of equal event count at 48x48. Deviation: the authors
    interpolate binary frames of 128x128 to 48x48; here coordinates are mapped, so that counts stay integers and no
    event is lost.
    """
    check_range(events, sensor_size, name)
    if len(events.t) == 0:
        return np.zeros((T, NUM_POLARITIES, input_size, input_size), COUNT)
    t, x, y, p = in_time_order(events)
    k = _slices_of_equal_count(len(t), T) if slicing == "count" else _slices_of_equal_time(t, T)
    row, column = y * input_size // sensor_size, x * input_size // sensor_size
    place = ((k * NUM_POLARITIES + p) * input_size + row) * input_size + column
    counts = np.bincount(place, minlength=T * NUM_POLARITIES * input_size**2)
    largest = int(counts.max())
    if largest > np.iinfo(COUNT).max:
        raise DataError(
            f"{name}: one pixel has {largest} events in one of {T} frames of {input_size}x{input_size}; "
            f"at most {np.iinfo(COUNT).max} can be counted: choose a larger T or input_size"
        )
    return counts.astype(COUNT).reshape(T, NUM_POLARITIES, input_size, input_size)


def in_time_order(events: Events) -> Events:
    """Return the events in the order of time, with times that continue where the counter of 32 bits wrapped.

    Two successive events are taken to be less than 2^31 µs (35.8 minutes) apart, forwards or backwards. So a larger
    step means that the counter wrapped, and all later times change by 2^32 µs. Events of equal time keep their order.
    """
    t = unwrapped(events.t)
    if bool((np.diff(t) >= 0).all()):
        return Events(t, events.x, events.y, events.p)
    order = np.argsort(t, kind="stable")
    return Events(t[order], events.x[order], events.y[order], events.p[order])


def unwrapped(t: Ints) -> Ints:
    """Return times `[N]` that continue where the counter of 32 bits wrapped."""
    steps = np.diff(t)
    turns = (steps < -_WRAP // 2).astype(np.int64) - (steps > _WRAP // 2)
    continued: Ints = t + _WRAP * np.concatenate([[0], np.cumsum(turns)])
    return continued


def _slices_of_equal_count(num_events: int, T: int) -> Ints:
    """Return the slice of each event, `[N]`."""
    boundaries = np.arange(T + 1, dtype=np.int64) * num_events // T
    return np.repeat(np.arange(T, dtype=np.int64), np.diff(boundaries))


def _slices_of_equal_time(t: Ints, T: int) -> Ints:
    """Return the slice of each event, `[N]`."""
    since, span = t - t[0], int(t[-1] - t[0])
    if span == 0:
        return np.full(len(t), T - 1, np.int64)
    k: Ints = np.minimum(since * T // span, T - 1)
    return k


def check_range(events: Events, sensor_size: int, name: str) -> None:
    """Check that all events are on the camera's array.

    Raises:
        DataError: If a coordinate or polarity is out of range.
    """
    for axis, values, limit in (("x", events.x, sensor_size), ("y", events.y, sensor_size), ("p", events.p, 2)):
        bad = np.flatnonzero((values < 0) | (values >= limit))
        if len(bad):
            raise DataError(
                f"{name}: event {bad[0]} has {axis} = {values[bad[0]]}, which is not from 0 to {limit - 1} "
                f"({len(bad)} of {len(values)} events are out of range)"
            )
