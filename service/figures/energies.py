"""The figure of all energy analyses: the estimated energy of an image against the accuracy (Fig. 4B)."""

from dataclasses import dataclass
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.figures.appearance import Appearance, appearance_of
from service.figures.canvas import Words
from service.figures.figure_data import ENERGY, Band, FigureData, band_of
from service.figures.layout import add_legend, plain_numbers, seeds_in_caption

# The energy is drawn on a logarithmic scale if its largest value is this many times the smallest one.
LOG_FROM = 10.0


@dataclass(frozen=True)
class _Measured:
    """The energy of an image in µJ, and the test accuracy in percent, of an arm at each T."""

    energy: Band
    accuracy: Band


def draw_energies(figure: Figure, data: FigureData) -> Words:
    """Draw the test accuracy of each arm against its energy, by this project's count and by the paper's."""
    left, right = figure.subplots(1, 2, sharey=True)
    measured = _draw(left, data, "energy/uj_per_image")
    _draw(right, data, "energy/uj_per_image_paper")
    left.set(title="counted by each layer's inputs", ylabel="test accuracy, %")
    right.set(title="counted as in the paper")
    counts = {arm: each.energy.n for arm, each in measured.items()}
    add_legend(figure, data, counts)
    caption = (
        "Estimated energy of one image against the test accuracy; up and to the left is better. Points: mean over the "
        "seeds, one for each analysed T; bars: one standard deviation of the seeds to each side. "
        f"{seeds_in_caption(data, counts)}"
    )
    return Words("Energy against accuracy", caption, _alternative(measured))


def _draw(axes: Axes, data: FigureData, metric: str) -> dict[str, _Measured]:
    measured = {}
    for arm in data.drawn:
        series = data.last_of(ENERGY, arm)
        energy, accuracy = band_of(series, metric), band_of(series, "energy/accuracy", 100.0)
        if energy.steps and energy.steps == accuracy.steps:
            measured[arm] = _Measured(energy, accuracy)
            _draw_arm(axes, measured[arm], appearance_of(data.arms.index(arm)))
    means = [mean for each in measured.values() for mean in each.energy.means]
    if means and min(means) > 0 and max(means) > LOG_FROM * min(means):
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
    axes.set(xlabel="estimated energy, µJ an image")
    return measured


def _draw_arm(axes: Axes, measured: _Measured, look: Appearance) -> None:
    energy, accuracy = measured.energy, measured.accuracy
    axes.errorbar(
        energy.means,
        accuracy.means,
        xerr=[std if isfinite(std) else 0.0 for std in energy.stds],
        yerr=[std if isfinite(std) else 0.0 for std in accuracy.stds],
        color=look.colour,
        marker=look.marker,
        linestyle=look.line if len(energy.steps) > 1 else "none",
        elinewidth=0.8,
        capsize=2,
    )


def _alternative(measured: dict[str, _Measured]) -> str:
    parts = [
        f"{arm} {accuracy:.2f} % at {energy:.3g} µJ (T={T})"
        for arm, each in measured.items()
        for T, energy, accuracy in zip(each.energy.steps, each.energy.means, each.accuracy.means, strict=True)
    ]
    return f"Mean test accuracy and energy of an image: {'; '.join(parts)}."
