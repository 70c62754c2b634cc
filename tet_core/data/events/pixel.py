"""A model of an event camera without noise, which records a still image that moves along a closed path.

A pixel keeps a reference of log intensity. Each time the log intensity is `threshold` away from the reference, the
pixel fires an event, of polarity 1 upwards and 0 downwards, and the reference moves by `threshold` in that direction.

Shapes: B images of H and W pixels, K steps of the path, S: the width and height of the camera's array, in pixels.

Source: the pixel of Lichtsteiner, Posch and Delbruck, IEEE J. Solid-State Circuits 43, 2008; three saccades along a
triangle, 100 ms each, of Orchard et al., Frontiers in Neuroscience 9, 2015 (N-MNIST); the image moves on a closed
path, not the camera, as in CIFAR10-DVS (Li et al., Frontiers in Neuroscience 11, 2017).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tet_core.data.events.recording import Events, Ints

Floats = NDArray[np.float64]

SACCADE_US = 100_000
NUM_SACCADES = 3
IMAGE_SHARE = 0.75  # of the sensor's side; the rest is needed for the path
BLACK = 0.1  # intensity of a screen's black, as a share of white; it limits the contrast of log intensities to ln 11
_STEPS_PER_PIXEL = 2  # steps of the path; between them log intensity is linear
_GREY_LEVELS = 1 << 16  # scaled intensities are rounded to these, so that a machine's rounding errors shift no event
# Corners of the path, in units of its reach: row and column of the image's centre.
_CORNERS = ((-1.0, -1.0), (1.0, 0.0), (-1.0, 1.0), (-1.0, -1.0))


class Trajectory(NamedTuple):
    """Positions of the image over time.

    Attributes:
        t: `[K + 1]`: times in µs, from 0.
        row: `[K + 1]`: row of the image's centre, in pixels from the sensor's centre.
        column: `[K + 1]`: column of the image's centre, in the same units.
    """

    t: Floats
    row: Floats
    column: Floats


def trajectory(size: int) -> Trajectory:
    """Return the closed path of three saccades on a sensor of `size` pixels a side."""
    reach = size * (1 - IMAGE_SHARE) / 2
    corners = np.array(_CORNERS) * reach
    longest = float(np.abs(np.diff(corners, axis=0)).max())
    steps = int(np.ceil(longest * _STEPS_PER_PIXEL))
    share = np.arange(NUM_SACCADES * steps + 1) / steps
    row, column = (np.interp(share, np.arange(NUM_SACCADES + 1), corners[:, axis]) for axis in (0, 1))
    return Trajectory(share * SACCADE_US, row, column)


def record_images(images: Floats, size: int, threshold: float) -> list[Events]:
    """Record still images.

    Args:
        images: `[B, H, W]`, float64: intensities from 0 (black) to 1 (white).
        size: S.
        threshold: Change of log intensity that fires an event.

    Returns:
        B recordings of 0.3 s, each in the order of time.
    """
    path = trajectory(size)
    log_intensities = (np.log(BLACK + frame) for frame in _moved(images, size, path))
    return fired(log_intensities, path.t, threshold)


def fired(log_intensities: Iterator[Floats], t: Floats, threshold: float) -> list[Events]:
    """Return the events of pixels whose log intensities change linearly between given times.

    Args:
        log_intensities: K + 1 times `[B, S, S]`, float64; the first is the initial reference of all pixels.
        t: `[K + 1]`: the times of the log intensities in µs, rising.
        threshold: Change of log intensity that fires an event.

    Returns:
        B recordings; times are rounded down to whole µs.
    """
    start = next(log_intensities)
    before = np.zeros_like(start)  # log intensity, in thresholds above the pixel's first log intensity
    level = np.zeros_like(start)  # the reference: a whole number of thresholds, so that no rounding error accumulates
    pieces: list[list[NDArray[np.generic]]] = []
    for k, log_intensity in enumerate(log_intensities, 1):
        now = (log_intensity - start) / threshold
        # How many whole thresholds were crossed; positive if upwards.
        crossed = np.trunc(now - level)
        place = np.nonzero(crossed)
        number = np.abs(crossed[place]).astype(np.int64)
        image, y, x = (np.repeat(axis, number) for axis in place)
        upwards = np.repeat(crossed[place] > 0, number)
        # The number of each crossing among those of its pixel in this step: 1, 2, ...
        ordinal = np.arange(len(image)) - np.repeat(np.cumsum(number) - number, number) + 1
        reached = np.repeat(level[place], number) + np.where(upwards, ordinal, -ordinal)
        first, last = np.repeat(before[place], number), np.repeat(now[place], number)
        time = t[k - 1] + (t[k] - t[k - 1]) * (reached - first) / (last - first)
        pieces.append([image, time.astype(np.int64), x, y, upwards.astype(np.int64)])
        level += crossed
        before = now
    image, time, x, y, p = (np.concatenate(parts).astype(np.int64) for parts in zip(*pieces, strict=True))
    return _by_image(image, Events(time, x, y, p), len(start))


def _by_image(image: Ints, events: Events, num_images: int) -> list[Events]:
    order = np.lexsort((events.t, image))  # stable: events of equal time stay in the order of steps, rows and columns
    bounds = np.searchsorted(image[order], np.arange(num_images + 1))
    in_order = [values[order] for values in events]
    return [Events(*(values[first:end] for values in in_order)) for first, end in pairwise(bounds)]


def _moved(images: Floats, size: int, path: Trajectory) -> Iterator[Floats]:
    """Yield the sensor's image at each point of the path: `[B, S, S]`."""
    side = max(round(size * IMAGE_SHARE), 1)
    margin = int(np.ceil(max(np.abs(path.row).max(), np.abs(path.column).max()))) + 1
    canvas = _on_background(scaled(images, side), size + 2 * margin)
    for row, column in zip(path.row, path.column, strict=True):
        # A pixel sees the place at its own position minus the image's, which is between four pixels of the canvas.
        (top, down), (left, right) = (divmod(margin - shift, 1.0) for shift in (row, column))
        rows, columns = int(top), int(left)
        upper, lower = canvas[:, rows : rows + size], canvas[:, rows + 1 : rows + size + 1]
        both = upper * (1 - down) + lower * down
        yield both[:, :, columns : columns + size] * (1 - right) + both[:, :, columns + 1 : columns + size + 1] * right


def scaled(images: Floats, side: int) -> Floats:
    """Return images `[B, H, W]` scaled bilinearly to `side` x `side` pixels; pixels of a smaller image are averages."""
    rows, columns = (_weights(length, side) for length in images.shape[1:])
    return np.round(rows @ images @ columns.T * _GREY_LEVELS) / _GREY_LEVELS


def _weights(old: int, new: int) -> Floats:
    """Return `[new, old]`: the weight of each old pixel of a line in each new pixel; rows sum to 1."""
    ratio = old / new
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    distance = np.abs(np.arange(old) - centres.clip(0, old - 1)[:, None])
    weights = np.maximum(0, 1 - distance / max(ratio, 1))
    normalised: Floats = weights / weights.sum(1, keepdims=True)
    return normalised


def _on_background(images: Floats, size: int) -> Floats:
    """Return images in the middle of `size` x `size` pixels that are as bright as the median of the image's border.

    So a digit on black stays on black, and the edge of a photograph adds as little contrast as possible.
    """
    side = images.shape[1]
    rim = np.ones((side, side), bool)
    rim[1:-1, 1:-1] = False
    canvas = np.empty((len(images), size, size))
    canvas[:] = np.median(images[:, rim], axis=1)[:, None, None]
    start = (size - side) // 2
    canvas[:, start : start + side, start : start + side] = images
    return canvas
