"""Tests of the model of an event camera, against events computed by hand."""

from math import e, log

import numpy as np
import pytest

from tet_core.data.events import pixel


def rows(size: int, *steps: list[float], t: list[float], threshold: float) -> list[tuple[int, int, int, int]]:
    """Return the events (t, x, y, p) of one line of pixels, given their log intensities at each step."""
    seen = (np.array(step, dtype=np.float64).reshape(1, 1, size) for step in steps)
    (found,) = pixel.fired(seen, np.array(t), threshold)
    return list(zip(*(values.tolist() for values in found), strict=True))


def test_an_edge_that_moves_over_pixels_fires_the_events_computed_by_hand() -> None:
    # Log intensity rises by 1 at pixel 0 within [0, 100] µs and at pixel 1 within [100, 200]; it falls again at pixel 1
    # within [200, 300]. With a threshold of 0.4, events fire at 0.4 and 0.8 of the rise. The reference is then 0.8, so
    # on the way down events fire at values of 0.4 and 0: at 0.6 and 1 of the fall.
    found = rows(2, [0, 0], [1, 0], [1, 1], [1, 0], t=[0, 100, 200, 300], threshold=0.4)
    assert found == [(40, 0, 0, 1), (80, 0, 0, 1), (140, 1, 0, 1), (180, 1, 0, 1), (260, 1, 0, 0), (300, 1, 0, 0)]


def test_changes_below_the_threshold_add_up_over_steps() -> None:
    found = rows(1, [0], [0.3], [0.6], [0.9], [0.7], t=[0, 10, 20, 30, 40], threshold=0.5)
    assert found == [(16, 0, 0, 1)], (
        "0.5 is crossed after two thirds of the second step; the next events would be at log intensities 0 and 1"
    )


def test_recordings_of_one_batch_do_not_mix() -> None:
    images = np.zeros((3, 8, 8))
    images[0, 2:6, 3] = images[2, 4, 2:6] = 1
    together = pixel.record_images(images, 32, 0.2)
    assert len(together[1].t) == 0, "an image without contrast fires no event"
    for image, found in zip(images, together, strict=True):
        (alone,) = pixel.record_images(image[None], 32, 0.2)
        for one, other in zip(alone, found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_closed_path_ends_with_every_pixel_at_its_first_level() -> None:
    images = np.random.default_rng(0).random((2, 9, 7))
    for t, x, y, p in pixel.record_images(images, 24, 0.1):
        assert len(t) > 1000
        assert t.min() >= 0
        assert t.max() <= pixel.NUM_SACCADES * pixel.SACCADE_US
        assert bool((np.diff(t) >= 0).all())
        ups, downs = (np.bincount((y * 24 + x)[p == value], minlength=24 * 24) for value in (1, 0))
        np.testing.assert_array_equal(ups, downs)


def test_a_bright_bar_fires_once_for_each_threshold_of_its_contrast() -> None:
    # The bar is as high as the image, so a pixel in the middle changes only if a saccade moves the bar horizontally.
    # From black to white, the log intensity rises by ln 11.
    contrast = log((pixel.BLACK + 1) / pixel.BLACK)
    image = np.zeros((1, 24, 24))
    image[:, :, 11:13] = 1
    ((t, x, y, p),) = pixel.record_images(image, 32, contrast / 3.5)
    way = pixel.trajectory(32)
    middle = (y == 16) & (x == 16) & (p == 1) & (t < pixel.SACCADE_US)
    assert way.column[0] == -4
    assert int(middle.sum()) == 3, "the bar comes from four columns to the left once within the first saccade"


def test_the_path_is_closed_and_its_steps_are_at_most_half_a_pixel() -> None:
    for size in (8, 32, 128):
        way = pixel.trajectory(size)
        assert (way.row[0], way.column[0]) == (way.row[-1], way.column[-1])
        assert way.t[-1] == 300_000
        assert max(np.abs(np.diff(way.row)).max(), np.abs(np.diff(way.column)).max()) <= 0.5
        assert max(np.abs(way.row).max(), np.abs(way.column).max()) == size / 8


def test_scaling_keeps_constants_and_gives_known_values() -> None:
    constant = np.full((1, 5, 9), 0.25)
    np.testing.assert_array_equal(pixel.scaled(constant, 12), np.full((1, 12, 12), 0.25))
    ramp = np.arange(8.0).reshape(1, 1, 8).repeat(8, 1) / 8
    np.testing.assert_allclose(pixel.scaled(ramp, 4)[0, 0], [0.1, 0.3125, 0.5625, 0.775], atol=0.03)
    np.testing.assert_array_equal(pixel.scaled(ramp, 8), ramp)


def test_events_follow_log_intensity_and_not_intensity() -> None:
    # The step from e^0 to e^1 is the same as that from e^1 to e^2.
    seen = [np.log(np.array([[[value]]])) for value in (1.0, e, e * e)]
    (found,) = pixel.fired(iter(seen), np.array([0.0, 10.0, 20.0]), 0.5)
    assert found.t.tolist() == pytest.approx([5, 10, 15, 20], abs=1)
