"""Parts that several figures share: lines with bands, the legend, and words about them."""

from collections.abc import Iterable, Sequence
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from service.figures.appearance import appearance_of, label
from service.figures.figure_data import Band, FigureData

# Points of a line that are drawn; more would make the file larger and nothing clearer.
MAX_LINE_POINTS = 150
# The opacity of all bands together: many bands lie over each other.
BAND_INK = 0.5
# Markers on a line with many points.
NUM_MARKERS = 8
# Characters of all names in one row of a legend.
LEGEND_CHARACTERS = 92


def draw_band(axes: Axes, data: FigureData, arm: str, band: Band) -> None:
    """Draw the mean of an arm as a line, and one standard deviation to each side as a band."""
    place = data.arms.index(arm)
    look = appearance_of(place)
    kept = _thinned(len(band.steps))
    steps, means, stds = ([values[number] for number in kept] for values in (band.steps, band.means, band.stds))
    every = max(1, len(kept) // NUM_MARKERS)
    first = min(place % every, len(kept) - 1) if every > 1 else 0
    axes.plot(
        steps, means, color=look.colour, marker=look.marker, linestyle=look.line, markevery=(first, every), zorder=3
    )
    if any(map(isfinite, stds)):
        low = [mean - std for mean, std in zip(means, stds, strict=True)]
        high = [mean + std for mean, std in zip(means, stds, strict=True)]
        alpha = min(0.2, BAND_INK / len(data.drawn))
        axes.fill_between(steps, low, high, color=look.colour, alpha=alpha, linewidth=0)
        for edge in (low, high):
            axes.plot(steps, edge, color=look.colour, linewidth=0.5, alpha=0.45)


def _thinned(count: int) -> list[int]:
    """Return the numbers of the points to draw, always with the first and the last one."""
    if count <= MAX_LINE_POINTS:
        return list(range(count))
    return [round(number * (count - 1) / (MAX_LINE_POINTS - 1)) for number in range(MAX_LINE_POINTS)]


def mark_switches(axes: Axes, data: FigureData, arm: str, switches: Iterable[int]) -> None:
    """Mark the epochs after which an arm goes on with its next stage."""
    for epoch in switches:
        colour = appearance_of(data.arms.index(arm)).colour
        axes.axvline(epoch + 0.5, color=colour, linestyle=(0, (1, 1.5)), linewidth=0.9, zorder=1)


def whole_numbers(axis: Axis) -> None:
    """Let an axis have ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator(integer=True))


def plain_numbers(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis as plain numbers: 0.2 rather than a power of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FormatStrFormatter("%g"))


def add_legend(figure: Figure, data: FigureData, counts: dict[str, int]) -> None:
    """Add the legend of the arms below the figure, each with its number of seeds.

    Args:
        figure: The figure.
        data: The data of the figure.
        counts: The number of seeds of each arm in the figure.
    """
    names = [f"{label(arm)} (n={n})" for arm, n in counts.items()]
    handles = []
    for arm in counts:
        look = appearance_of(data.arms.index(arm))
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.line))
    columns = max(1, min(len(names), 6, LEGEND_CHARACTERS // (6 + max(map(len, names), default=1))))
    rows = -(-len(names) // columns)
    figure.set_figheight(figure.get_figheight() + 0.17 * rows)
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def seeds_in_caption(data: FigureData, counts: dict[str, int]) -> str:
    """Return sentences about the arms and seeds of a figure, and about what is left out."""
    numbers = sorted(set(counts.values()))
    n = f"n = {numbers[0]}" if numbers[:1] == numbers else f"n = {numbers[0]} to {numbers[-1]}" if numbers else "n = 0"
    parts = [f"{n} {'seed' if numbers == [1] else 'seeds'} an arm."]
    if len(data.arms) > len(data.drawn):
        parts.append(f"Of {len(data.arms)} arms, {len(data.drawn)} are drawn.")
    missing = [arm for arm in data.drawn if arm not in counts]
    if missing:
        parts.append(f"Without a value: {', '.join(missing)}.")
    return " ".join(parts)


def band_in_caption(bands: Sequence[Band]) -> str:
    """Return the sentence that explains lines and bands."""
    if any(isfinite(std) for band in bands for std in band.stds):
        return "Lines: mean over the seeds; bands: one standard deviation of the seeds to each side."
    return "Lines: a single seed, so that there is no spread to show."
