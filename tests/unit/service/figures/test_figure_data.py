"""Tests of what figures are drawn from: means and bands, joined stages, flatness, and how arms look."""

from math import isnan, nan

import pytest

from service.curves import GRID_COORDINATE, grid_metric
from service.figures.appearance import COLOURS, appearance_of, label
from service.figures.figure_data import MAX_DRAWN, ArmSeries, FigureData, band_of, training_of
from service.figures.flatness import grid_of


def series(seed: int, *values: float, stage: int = 0, steps: tuple[int, ...] | None = None) -> ArmSeries:
    return ArmSeries("TET", seed, stage, "train", 4, steps or tuple(range(1, len(values) + 1)), {"x": values})


def test_a_band_has_the_mean_and_the_standard_deviation_of_the_seeds_that_have_a_value() -> None:
    band = band_of([series(0, 0.1, 0.5, nan), series(1, 0.3, 0.5, 0.7)], "x", 100)
    assert band.steps == (1, 2, 3)
    assert band.means == pytest.approx((20, 50, 70))
    assert band.stds[:2] == pytest.approx((14.142135, 0))
    assert isnan(band.stds[2])
    assert band.n == 2
    assert band.last == pytest.approx(70)


def test_a_band_without_values_is_empty() -> None:
    for band in (band_of([], "x"), band_of([series(0, nan)], "x"), band_of([series(0, 1.0)], "other")):
        assert (band.steps, band.n) == ((), 0)
        assert isnan(band.last)


def test_the_stages_of_a_chain_are_joined_and_epochs_count_on() -> None:
    later = ArmSeries("TET", 0, 1, "train", 4, (1, 2), {"x": (4.0, 5.0), "y": (1.0, 2.0)})
    data = FigureData(("TET",), "TET", (later, series(0, 1.0, 2.0, 3.0), series(1, 1.0)))
    training = training_of(data, "TET")
    assert training.switches == (3,)
    whole = training.series[0]
    assert (whole.steps, whole.values["x"]) == ((1, 2, 3, 4, 5), (1.0, 2.0, 3.0, 4.0, 5.0))
    assert [isnan(value) for value in whole.values["y"]] == [True, True, True, False, False]


def test_too_many_arms_are_cut_but_never_the_baseline() -> None:
    names = tuple(f"arm {number}" for number in range(40))
    drawn = FigureData(names, "arm 30").drawn
    assert (len(drawn), drawn[0], drawn[-1]) == (MAX_DRAWN, "arm 0", "arm 30")
    assert FigureData(names, "arm 3").drawn == names[:MAX_DRAWN]


def landscape_of(losses: list[list[float]], at: tuple[float, ...]) -> ArmSeries:
    values = {GRID_COORDINATE: at}
    values |= {grid_metric("loss_sdt", number): tuple(row[number] for row in losses) for number in range(len(at))}
    return ArmSeries("TET", 0, 1, "landscape", 4, tuple(range(1, len(at) + 1)), values)


def test_flatness_is_the_mean_rise_within_half_a_unit() -> None:
    # Within 0.5 of the centre: the centre (1.0) and its four neighbours at 0.5 (3, 2, 5, 4); the corners are outside.
    grid = grid_of(landscape_of([[9, 3, 9], [2, 1, 5], [9, 4, 9]], (-0.5, 0.0, 0.5)), "loss_sdt")
    assert grid is not None
    assert (grid.centre, grid.mean_rise()) == (1, (0 + 2 + 1 + 4 + 3) / 5)
    assert grid.losses[0] == (9, 3, 9)
    broken = grid_of(landscape_of([[9, nan, 9], [2, 1, 5], [9, 4, 9]], (-0.5, 0.0, 0.5)), "loss_sdt")
    assert broken is not None
    assert isnan(broken.mean_rise())


def test_a_landscape_of_which_only_the_extremes_are_known_has_no_grid() -> None:
    assert grid_of(ArmSeries("TET", 0, 1, "landscape", 4, (1,), {"landscape/loss_sdt_min": (1.0,)}), "loss_sdt") is None


def test_an_arm_looks_alike_everywhere_and_unlike_the_others() -> None:
    looks = [appearance_of(place) for place in range(4 * len(COLOURS))]
    assert len(set(looks)) == len(looks)
    assert len({look.colour for look in looks[: len(COLOURS)]}) == len(COLOURS)
    assert [contrast_with_white(colour) > 1.9 for colour in COLOURS] == [True] * len(COLOURS)


def contrast_with_white(colour: str) -> float:
    """Return the contrast of a colour with white paper, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_long_names_keep_both_ends_and_dollars_are_no_formulas() -> None:
    assert label("TET") == "TET"
    assert label("abcdefghij", 7) == "abc…hij"
    assert label("a $x$") == r"a \$x\$"
