"""How arms look in every figure: one colour, one marker and one line style an arm, and names of a readable length."""

from dataclasses import dataclass
from typing import Literal

# The colours of Okabe and Ito, which people with any colour vision can tell apart; grey in place of the yellow, which
# is too pale for lines on white paper. Source: Okabe and Ito, "Color Universal Design", 2008.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")
MAX_LABEL = 36


@dataclass(frozen=True)
class Appearance:
    """The colour, the marker and the line style of an arm, in matplotlib's names."""

    colour: str
    marker: str
    line: Literal["-", "--", "-.", ":"]


def appearance_of(place: int) -> Appearance:
    """Return how the arm at a place of the spec looks. After eight arms, colours come again with another line style."""
    turn = place // len(COLOURS)
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[(place + turn) % len(MARKERS)]
    return Appearance(colour, marker, LINES[turn % len(LINES)])


def label(name: str, longest: int = MAX_LABEL) -> str:
    r"""Return a name for a figure: of at most `longest` characters, and with `$` as matplotlib wants it in plain text.

    The middle of a long name is left out, since long names often differ at their ends.
    """
    if len(name) > longest:
        head = (longest - 1) // 2
        name = f"{name[:head]}…{name[len(name) - (longest - 1 - head) :]}"
    return name.replace("$", r"\$")
