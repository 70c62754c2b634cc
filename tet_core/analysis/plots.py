"""Plots of analyses as PNG, drawn without a display."""

import io
from collections.abc import Sequence
from typing import Any, assert_never

from matplotlib.figure import Figure

from tet_core.analysis.subject import Record
from tet_core.config import Analysis, Energy, Landscape, TimeSweep


def plot(analysis: Analysis, records: Sequence[Record]) -> bytes:
    """Draw the plot of an analysis.

    Args:
        analysis: The analysis.
        records: The table's lines of all rows, in order.

    Returns:
        The bytes of a PNG file.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    match analysis:
        case TimeSweep():
            _sweep(figure, records)
        case Landscape():
            _landscape(figure, analysis, records)
        case Energy():
            _energy(figure, records)
        case unknown:
            assert_never(unknown)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


def _numbers(records: Sequence[Record], key: str) -> list[float]:
    """Return a column; a value that is None becomes nan, which leaves a gap in the plot."""
    return [float("nan") if (value := record[key]) is None else float(value) for record in records]


def _sweep(figure: Figure, records: Sequence[Record]) -> None:
    """Draw the accuracy and both losses against T; the T of the training is marked (Fig. 4A)."""
    records = sorted(records, key=lambda record: float(record["T"] or 0))
    T, trained = _numbers(records, "T"), float(records[0]["trained_T"] or 0)
    left, right = figure.subplots(1, 2)
    left.plot(T, [100 * value for value in _numbers(records, "accuracy")], marker="o")
    left.set(xlabel="time steps T", ylabel="test accuracy, %")
    for key, label in (("loss_sdt", "L_SDT"), ("loss_tet", "L_TET")):
        right.plot(T, _numbers(records, key), marker="o", label=label)
    right.set(xlabel="time steps T", ylabel="test loss")
    right.legend()
    for axes in (left, right):
        axes.axvline(trained, linestyle=":", color="grey")
        axes.grid(alpha=0.3)
    left.set_title(f"trained at T = {trained:g}, no fine-tuning")


def _landscape(figure: Figure, landscape: Landscape, records: Sequence[Record]) -> None:
    """Draw both losses around the same minimum (Fig. 2)."""
    size = landscape.size
    x, y = _numbers(records[:size], "alpha"), _numbers(records[::size], "beta")
    for axes, key, label in zip(figure.subplots(1, 2), ("loss_sdt", "loss_tet"), ("L_SDT", "L_TET"), strict=True):
        values = _numbers(records, key)
        grid: list[Any] = [values[row * size : (row + 1) * size] for row in range(size)]
        colours = axes.pcolormesh(x, y, grid, shading="nearest", cmap="viridis")
        figure.colorbar(colours, ax=axes)
        axes.plot(0, 0, marker="+", color="white")
        axes.set(xlabel="first direction", ylabel="second direction", title=label, aspect="equal")


def _energy(figure: Figure, records: Sequence[Record]) -> None:
    """Draw the estimated energy of an image, layer by layer, at the largest T (Fig. 4B shows the totals)."""
    largest = max(float(record["T"] or 0) for record in records)
    layers = [record for record in records if record["T"] == largest and record["kind"] != "neuron"]
    names = [str(record["layer"]) for record in layers]
    left, right = figure.subplots(1, 2)
    colours = ["tab:green" if record["only_adds"] else "tab:red" for record in layers]
    left.barh(names, _numbers(layers, "energy_uj"), color=colours)
    left.set(xlabel="estimate, µJ an image", title=f"T = {largest:g}; green: only adds")
    right.barh(names, [100 * value for value in _numbers(layers, "rate")], color="tab:blue")
    right.set(xlabel="inputs that are not 0, %")
    for axes in (left, right):
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
