"""Figures of matplotlib as bytes, drawn without a display and without pyplot; the same figure gives the same bytes."""

import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# matplotlib's settings belong to the process, and its caches are not made for threads: one figure is drawn at a time.
_DRAWING = threading.Lock()
# The width of the text of an A4 page with margins of 2 cm, and the height of most figures, in inches.
WIDTH, HEIGHT = 6.7, 2.9
DPI = 200
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
    "image.composite_image": False,
}


@dataclass(frozen=True)
class Words:
    """The words of a figure.

    Attributes:
        title: A short title.
        caption: What the figure shows, and how its lines and bands are to be read.
        alternative: The same in numbers, for people who cannot see the figure.
    """

    title: str
    caption: str
    alternative: str


@dataclass(frozen=True)
class Drawn:
    """A figure as SVG (text, from matplotlib) and as PNG, with its words."""

    words: Words
    svg: bytes
    png: bytes


def drawn(name: str, draw: Callable[[Figure], Words], *, png: bool) -> Drawn:
    """Draw a figure.

    Args:
        name: The figure's name, from which the ids in its SVG are made.
        draw: Draws into an empty figure, and returns the words.
        png: Whether to make the PNG too; otherwise `png` is empty.
    """
    with _DRAWING, matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        # A name may have characters that matplotlib's font lacks. They become boxes in a PNG; an SVG keeps them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        words = draw(figure)
        svg = _bytes(figure, "svg", {"Date": None, "Creator": None})
        if not png:
            return Drawn(words, svg, b"")
        figure.set_layout_engine(None)  # the places are those of the SVG: to find them takes a third of the time
        return Drawn(words, svg, _bytes(figure, "png", {"Software": None}))


def _bytes(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=form, dpi=DPI, metadata=metadata)
    return stream.getvalue()
