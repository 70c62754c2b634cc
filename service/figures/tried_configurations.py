"""The figure of a search: the validation accuracy of every configuration, and the best one so far."""

from itertools import accumulate

from matplotlib.figure import Figure

from service.figures.appearance import appearance_of
from service.figures.canvas import Words
from service.figures.figure_data import FigureData
from service.figures.layout import add_legend, whole_numbers

# With more dots than this, they are drawn as one picture within the SVG.
MAX_VECTOR_DOTS = 1_500


def draw_tried(figure: Figure, data: FigureData) -> Words:
    """Draw a dot for each configuration, and as steps the best one so far, arm by arm."""
    axes = figure.subplots()
    counts = {}
    for arm in data.drawn:
        tried = sorted((each for each in data.tried if each.arm == arm), key=lambda each: each.number)
        if not tried:
            continue
        counts[arm] = len(tried)
        look = appearance_of(data.arms.index(arm))
        numbers, values = [each.number + 1 for each in tried], [100 * each.val_accuracy for each in tried]
        is_many = len(data.tried) > MAX_VECTOR_DOTS
        axes.scatter(numbers, values, s=9, color=look.colour, alpha=0.5, linewidths=0, rasterized=is_many)
        axes.plot(numbers, [*accumulate(values, max)], color=look.colour, linestyle=look.line, drawstyle="steps-post")
        for each in tried:
            if each.is_chosen:
                at = each.number + 1, 100 * each.val_accuracy
                axes.plot(*at, marker=look.marker, color=look.colour, markeredgecolor="black", markersize=7)
    axes.set(xlabel="configuration, in the order in which they were proposed", ylabel="validation accuracy, %")
    whole_numbers(axes.xaxis)
    add_legend(figure, data, counts)
    caption = (
        "Validation accuracy of each configuration that has ended, a mean over its seeds; lines: the best so far; "
        "markers with a black edge: the chosen configurations. n: the number of configurations."
    )
    chosen = ", ".join(f"{each.arm} {100 * each.val_accuracy:.2f} %" for each in data.tried if each.is_chosen)
    return Words("Configurations of the search", caption, f"Validation accuracy of the chosen ones: {chosen}.")
