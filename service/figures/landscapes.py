"""The figure of all landscapes: both losses around the trained weights, side by side on one scale (Fig. 2)."""

from dataclasses import dataclass
from math import isfinite, log10, nan
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from service.figures.appearance import label
from service.figures.canvas import HEIGHT, WIDTH, Words
from service.figures.figure_data import LANDSCAPE, FigureData
from service.figures.flatness import RADIUS, Grid, grid_of
from service.figures.layout import plain_numbers

# Arms beside each other; more would be too small to read.
MAX_COLUMNS = 4
NUM_LEVELS = 9
_LOSSES = (("loss_sdt", "L_SDT"), ("loss_tet", "L_TET"))


@dataclass(frozen=True)
class Flatness:
    """The landscape of an arm at its first seed, and the mean rise of each of its seeds."""

    seed: int
    grid: Grid
    rises: tuple[float, ...]

    @property
    def mean_rise(self) -> float:
        """The mean over the seeds whose losses near the minimum are all finite; NaN if there is none."""
        finite = [rise for rise in self.rises if isfinite(rise)]
        return fmean(finite) if finite else nan


def flatness_of(data: FigureData, loss: str) -> dict[str, Flatness]:
    """Return the landscapes of a loss, by arm; arms without a grid are left out."""
    found = {}
    for arm in data.drawn:
        grids = [(each.seed, grid) for each in data.last_of(LANDSCAPE, arm) if (grid := grid_of(each, loss))]
        if grids:
            found[arm] = Flatness(*grids[0], tuple(grid.mean_rise() for _, grid in grids))
    return found


def draw_landscapes(figure: Figure, data: FigureData) -> Words:
    """Draw a panel for each loss and arm; the panels of a loss share one scale of colours and contours."""
    by_loss = {name: flatness_of(data, loss) for loss, name in _LOSSES}
    arms = [*next(iter(by_loss.values()))][:MAX_COLUMNS]
    figure.set_size_inches(WIDTH * (0.2 + 0.8 * max(2, len(arms)) / MAX_COLUMNS), HEIGHT * 1.42)
    panels = figure.subplots(len(_LOSSES), len(arms), squeeze=False, sharex=True, sharey=True)
    for row, (name, found) in zip(panels, by_loss.items(), strict=True):
        _draw_row(figure, [*row], name, [(arm, found[arm]) for arm in arms if arm in found])
    for axes in panels[-1]:
        axes.set_xlabel("first direction")
    left_out = len(by_loss[_LOSSES[0][1]]) - len(arms)
    caption = (
        "Both losses on a plane through the trained weights (the cross), in two random directions; at "
        "coordinate 1 every filter has moved by its own norm. Colours and contours of a row are on one scale; "
        "white: not finite. "
        f"Rise: the mean of the loss within {RADIUS:g} of the cross, minus the loss at the cross; less is flatter. "
        f"Drawn: {_seeds_in_words(by_loss)}; the rise is the mean over n seeds."
        + (f" {left_out} more arms are in the table." if left_out > 0 else "")
    )
    return Words("Loss landscapes", caption, _alternative(by_loss))


def _seeds_in_words(by_loss: dict[str, dict[str, Flatness]]) -> str:
    seeds = {each.seed for found in by_loss.values() for each in found.values()}
    return f"seed {seeds.pop()}" if len(seeds) == 1 else "the first seed of each arm"


def _draw_row(figure: Figure, row: list[Axes], name: str, shown: list[tuple[str, Flatness]]) -> None:
    values = [value for _, each in shown for line in each.grid.losses for value in line if isfinite(value)]
    norm, levels = _scale(values)
    image = None
    for axes, (arm, each) in zip(row, shown, strict=True):
        at = each.grid.coordinates
        half = (at[1] - at[0]) / 2
        extent = (at[0] - half, at[-1] + half, at[0] - half, at[-1] + half)
        image = axes.imshow(each.grid.losses, origin="lower", extent=extent, norm=norm, cmap="cividis", aspect="equal")
        if levels:
            axes.contour(at, at, each.grid.losses, levels=levels, colors="white", linewidths=0.5)
        axes.plot(0, 0, marker="+", color="white", markersize=6)
        axes.grid(visible=False)
        n = sum(map(isfinite, each.rises))
        axes.set_title(f"{label(arm, 20)}\nrise {each.mean_rise:.3g} (n={n})", fontsize=7.5)
    row[0].set_ylabel("second direction")
    if image is not None:
        bar = figure.colorbar(image, ax=row, label=name, shrink=0.9)
        if isinstance(norm, LogNorm):
            plain_numbers(bar.ax.yaxis)


def _scale(values: list[float]) -> tuple[Normalize, list[float]]:
    """Return the scale of colours and the levels of contours: logarithmic if the losses differ by a factor of ten."""
    if not values:
        return Normalize(0, 1), []
    low, high = min(values), max(values)
    if high <= low:
        return Normalize(low, low + 1), []
    if low > 0 and high > 10 * low:
        step = (log10(high) - log10(low)) / (NUM_LEVELS + 1)
        return LogNorm(low, high), [10 ** (log10(low) + step * number) for number in range(1, NUM_LEVELS + 1)]
    step = (high - low) / (NUM_LEVELS + 1)
    return Normalize(low, high), [low + step * number for number in range(1, NUM_LEVELS + 1)]


def _alternative(by_loss: dict[str, dict[str, Flatness]]) -> str:
    parts = [
        f"{name} " + ", ".join(f"{arm} {each.mean_rise:.3g}" for arm, each in found.items())
        for name, found in by_loss.items()
    ]
    return f"Mean rise of the loss within {RADIUS:g} of the trained weights: {'; '.join(parts)}."
