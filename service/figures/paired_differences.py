"""The figure of the paired differences: every seed, the mean and its interval."""

from matplotlib.figure import Figure

from service.figures.appearance import appearance_of, label
from service.figures.canvas import Words
from service.figures.figure_data import MAX_DRAWN, FigureData, PairDifferences

# The dots of more seeds would hide each other: only the first seeds have dots. The mean and its interval are over all.
MAX_DOTS = 100


def draw_paired_differences(figure: Figure, data: FigureData) -> Words:
    """Draw a row for each pair: a dot for each seed, in the order of the seeds, and the mean with its interval."""
    pairs = data.pairs[:MAX_DRAWN]
    figure.set_figheight(0.9 + 0.5 * len(pairs))
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    if data.margin is not None:
        axes.axvspan(-data.margin, data.margin, color="black", alpha=0.08, linewidth=0)
    for row, pair in enumerate(pairs):
        look = appearance_of(data.arms.index(pair.arm))
        dots = pair.differences[:MAX_DOTS]
        places = [row - 0.14 + 0.42 * (number + 0.5) / len(dots) for number in range(len(dots))]
        axes.scatter(dots, places, s=12, color=look.colour, alpha=0.65, linewidths=0, zorder=2)
        if pair.low is not None and pair.high is not None:
            axes.plot([pair.low, pair.high], [row - 0.27] * 2, color=look.colour, linewidth=2.2, zorder=3)
        axes.plot(pair.mean, row - 0.27, marker=look.marker, color=look.colour, markeredgecolor="black", markersize=6)
    axes.set_yticks(range(len(pairs)), [f"{label(pair.arm, 28)}\nminus {label(pair.to, 22)}" for pair in pairs])
    axes.set_ylim(len(pairs) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("difference in test accuracy after the last epoch, percentage points")
    words = axes.secondary_yaxis("right")
    words.set_yticks(range(len(pairs)), [f"{pair.verdict}, n={len(pair.seeds)}" for pair in pairs])
    words.tick_params(length=0)
    words.spines["right"].set_visible(False)
    left_out = len(data.pairs) - len(pairs)
    caption = (
        "Differences seed by seed: a dot for each seed, the first seed on top. Above the dots: the mean and a line, "
        "its interval as in the table." + (" Grey: differences that do not count." if data.margin is not None else "")
    )
    has_more = any(len(pair.differences) > MAX_DOTS for pair in pairs)
    caption += f" Only the first {MAX_DOTS} seeds of a pair have dots." if has_more else ""
    caption += f" Of {len(data.pairs)} pairs, {len(pairs)} are drawn." if left_out else ""
    return Words("Paired differences, seed by seed", caption, " ".join(map(_in_words, pairs)))


def _in_words(pair: PairDifferences) -> str:
    each = ", ".join(f"{value:+.2f}" for value in pair.differences[:MAX_DOTS])
    more = len(pair.differences) - MAX_DOTS
    rest = f" and {more} more" if more > 0 else ""
    return f"{pair.arm} minus {pair.to}: mean {pair.mean:+.2f} points, seed by seed {each}{rest}."
