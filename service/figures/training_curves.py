"""The figures of a training: accuracies over the epochs, and both losses over the epochs with each switch (Fig. 3)."""

from dataclasses import dataclass
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.figures.canvas import Words
from service.figures.figure_data import Band, FigureData, band_of, training_of
from service.figures.layout import (
    add_legend,
    band_in_caption,
    draw_band,
    mark_switches,
    plain_numbers,
    seeds_in_caption,
    whole_numbers,
)

# A loss whose largest mean is this many times the smallest one is drawn on a logarithmic scale.
LOG_FROM = 5.0
# The share of the epochs, from the first one, that may lie below the axis of an accuracy: otherwise the steep beginning
# takes all the room, and arms cannot be told apart at the end.
CUT_SHARE = 0.1


@dataclass(frozen=True)
class _Panel:
    metric: str
    scale: float
    heading: str
    axis: str


_ACCURACIES = (
    _Panel("test/accuracy", 100.0, "test set", "test accuracy, %"),
    _Panel("train/accuracy", 100.0, "training set, while it trains", "training accuracy, %"),
)
_LOSSES = (
    _Panel("test/loss_sdt", 1.0, "L_SDT: of the mean output", "test loss L_SDT"),
    _Panel("test/loss_tet", 1.0, "L_TET: the mean over time steps", "test loss L_TET"),
)


def draw_learning_curves(figure: Figure, data: FigureData) -> Words:
    """Draw the accuracy of each arm over its epochs."""
    drawn = _draw(figure, data, _ACCURACIES)
    last = ", ".join(f"{arm} {band.last:.2f} %" for arm, band in drawn[0].items())
    caption = f"Accuracy after each epoch; the epochs of all stages of an arm are counted on. {_reading(data, drawn)}"
    caption += " The axes begin at the accuracies after a tenth of the epochs."
    return Words("Learning curves", caption, f"Test accuracy after the last epoch: {last}.")


def draw_losses(figure: Figure, data: FigureData) -> Words:
    """Draw both test losses of each arm over its epochs."""
    drawn = _draw(figure, data, _LOSSES)
    ends = "; ".join(
        f"{panel.axis.removeprefix('test loss ')} "
        + ", ".join(f"{arm} {band.means[0]:.3g} to {band.last:.3g}" for arm, band in bands.items())
        for panel, bands in zip(_LOSSES, drawn, strict=True)
        if bands
    )
    caption = f"Both losses on the test set after each epoch; a stage trains with one of them. {_reading(data, drawn)}"
    return Words("Both losses over the epochs", caption, f"Test losses from the first to the last epoch: {ends}.")


def _reading(data: FigureData, drawn: list[dict[str, Band]]) -> str:
    bands = [band for each in drawn for band in each.values()]
    switches = any(training_of(data, arm).switches for arm in data.drawn)
    dotted = " Dotted vertical lines: the switch to an arm's next stage." if switches else ""
    return f"{band_in_caption(bands)}{dotted} {seeds_in_caption(data, _counts(drawn))}"


def _counts(drawn: list[dict[str, Band]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in drawn:
        for arm, band in each.items():
            counts[arm] = max(counts.get(arm, 0), band.n)
    return counts


def _draw(figure: Figure, data: FigureData, panels: tuple[_Panel, ...]) -> list[dict[str, Band]]:
    """Draw each panel, and return the bands of its arms."""
    drawn = []
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        bands = {}
        for arm in data.drawn:
            training = training_of(data, arm)
            band = band_of(training.series, panel.metric, panel.scale)
            if band.steps:
                bands[arm] = band
                draw_band(axes, data, arm, band)
                mark_switches(axes, data, arm, training.switches)
        axes.set(xlabel="epoch", ylabel=panel.axis, title=panel.heading)
        whole_numbers(axes.xaxis)
        if not bands:
            axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
        elif panel.scale == 1.0:
            _set_scale(axes, bands)
        else:
            _cut_beginning(axes, bands)
        drawn.append(bands)
    add_legend(figure, data, _counts(drawn))
    return drawn


def _cut_beginning(axes: Axes, bands: dict[str, Band]) -> None:
    last = max(band.steps[-1] for band in bands.values())
    later = [
        mean
        for band in bands.values()
        for step, mean in zip(band.steps, band.means, strict=True)
        if step >= CUT_SHARE * last
    ]
    ends = [
        mean + (std if isfinite(std) else 0.0)
        for band in bands.values()
        for mean, std in zip(band.means, band.stds, strict=True)
    ]
    low, high = min(later), max(ends)
    margin = 0.05 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)


def _set_scale(axes: Axes, bands: dict[str, Band]) -> None:
    means = [mean for band in bands.values() for mean in band.means if isfinite(mean)]
    if means and min(means) > 0 and max(means) > LOG_FROM * min(means):
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
