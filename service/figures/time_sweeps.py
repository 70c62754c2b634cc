"""The figure of all time sweeps: accuracy at other numbers of time steps, without fine-tuning (Fig. 4A)."""

from matplotlib.figure import Figure

from service.figures.appearance import appearance_of
from service.figures.canvas import Words
from service.figures.figure_data import TIME_SWEEP, TRAIN, Band, FigureData, band_of
from service.figures.layout import add_legend, band_in_caption, draw_band, seeds_in_caption, whole_numbers

_PANELS = (("time_sweep/accuracy", 100.0, "test accuracy, %"), ("time_sweep/loss_tet", 1.0, "test loss L_TET"))


def draw_time_sweeps(figure: Figure, data: FigureData) -> Words:
    """Draw the test accuracy and L_TET of each arm against T; larger rings mark the T of the training."""
    accuracies: dict[str, Band] = {}
    for axes, (metric, scale, axis) in zip(figure.subplots(1, 2), _PANELS, strict=True):
        for arm in data.drawn:
            band = band_of(data.last_of(TIME_SWEEP, arm), metric, scale)
            if not band.steps:
                continue
            draw_band(axes, data, arm, band)
            trained = _trained_T(data, arm)
            if trained in band.steps:
                mean, look = band.means[band.steps.index(trained)], appearance_of(data.arms.index(arm))
                axes.plot(trained, mean, marker="o", markersize=9, markerfacecolor="none", markeredgecolor=look.colour)
            if metric == _PANELS[0][0]:
                accuracies[arm] = band
        axes.set(xlabel="time steps T of the test", ylabel=axis)
        whole_numbers(axes.xaxis)
    counts = {arm: band.n for arm, band in accuracies.items()}
    add_legend(figure, data, counts)
    caption = (
        "Trained networks tested at other numbers of time steps, without fine-tuning. Rings: the T of the last "
        f"training. {band_in_caption([*accuracies.values()])} {seeds_in_caption(data, counts)}"
    )
    return Words("Accuracy at other numbers of time steps", caption, _alternative(accuracies))


def _trained_T(data: FigureData, arm: str) -> int | None:
    stages = data.of(TRAIN, arm)
    return stages[-1].T if stages else None


def _alternative(accuracies: dict[str, Band]) -> str:
    parts = [
        f"{arm} from {band.means[0]:.2f} % at T={band.steps[0]} to {band.means[-1]:.2f} % at T={band.steps[-1]}"
        for arm, band in accuracies.items()
    ]
    return f"Mean test accuracy: {'; '.join(parts)}."
