"""All figures of an experiment: which there are, and how each is drawn."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from service.figures.figure_data import ENERGY, LANDSCAPE, TIME_SWEEP, TRAIN, FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from service.figures.canvas import Drawn, Words


class FigureName(StrEnum):
    """The name of a figure in the API."""

    DIFFERENCES = "differences"
    LEARNING_CURVES = "learning-curves"
    LOSSES = "losses"
    TIME_SWEEP = "time-sweep"
    ENERGY = "energy"
    LANDSCAPE = "landscape"
    SEARCH = "search"


def figures_of(data: FigureData) -> list[FigureName]:
    """Return the figures that the data suffice for."""
    return [name for name in FigureName if _has(name, data)]


def _has(name: FigureName, data: FigureData) -> bool:
    match name:
        case FigureName.DIFFERENCES:
            return bool(data.pairs)
        case FigureName.LEARNING_CURVES:
            return data.has(TRAIN, "test/accuracy")
        case FigureName.LOSSES:
            return data.has(TRAIN, "test/loss_sdt") or data.has(TRAIN, "test/loss_tet")
        case FigureName.TIME_SWEEP:
            return data.has(TIME_SWEEP, "time_sweep/accuracy")
        case FigureName.ENERGY:
            return data.has(ENERGY, "energy/uj_per_image") and data.has(ENERGY, "energy/accuracy")
        case FigureName.LANDSCAPE:
            from service.figures.flatness import grid_of

            return any(each.kind == LANDSCAPE and grid_of(each, "loss_sdt") for each in data.series)
        case FigureName.SEARCH:
            return bool(data.tried)
        case _:
            assert_never(name)


def draw(name: FigureName, data: FigureData, *, png: bool = False) -> "Drawn":
    """Draw a figure. The first call loads matplotlib, which takes a large part of a second.

    Args:
        name: One of `figures_of`.
        data: What is drawn.
        png: Whether to make the PNG too.
    """
    from service.figures.canvas import drawn

    draw_into = _drawing(name)
    return drawn(name, lambda figure: draw_into(figure, data), png=png)


def drawn_figures(data: FigureData, *, png: bool = False) -> "dict[FigureName, Drawn]":
    """Draw all figures that the data suffice for; see `draw`."""
    return {name: draw(name, data, png=png) for name in figures_of(data)}


def _drawing(name: FigureName) -> "Callable[[Figure, FigureData], Words]":
    """Return the function that draws a figure; loading it loads matplotlib."""
    match name:
        case FigureName.DIFFERENCES:
            from service.figures.paired_differences import draw_paired_differences

            return draw_paired_differences
        case FigureName.LEARNING_CURVES:
            from service.figures.training_curves import draw_learning_curves

            return draw_learning_curves
        case FigureName.LOSSES:
            from service.figures.training_curves import draw_losses

            return draw_losses
        case FigureName.TIME_SWEEP:
            from service.figures.time_sweeps import draw_time_sweeps

            return draw_time_sweeps
        case FigureName.ENERGY:
            from service.figures.energies import draw_energies

            return draw_energies
        case FigureName.LANDSCAPE:
            from service.figures.landscapes import draw_landscapes

            return draw_landscapes
        case FigureName.SEARCH:
            from service.figures.tried_configurations import draw_tried

            return draw_tried
        case _:
            assert_never(name)
