r"""The tables of a report for a paper in LaTeX. They need no packages, and pdflatex, xelatex and lualatex compile them.

Everything that comes from outside is escaped, also what an arm is named: a name such as `\input{...}` is text.
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from service.answers.reports import ReportView
from service.reports.text_tables import TextTable, result_tables

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"\char34{}",
    "'": r"\char39{}",
    "`": r"\char96{}",
    "-": r"{-}",  # two of them would become a dash
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "–": r"--",
    "—": r"---",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
    "…": r"\ldots{}",
    "µ": r"\ensuremath{\mu}",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "å": r"\aa{}",
    "Å": r"\AA{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
_GREEK = frozenset(
    {
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "chi",
        "psi",
        "omega",
    }
)
# Combining characters of Unicode, and LaTeX's commands for the same accents.
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
# The width of the text of LaTeX's article class, of a character of its small print, and between columns, in points.
PAGE_PT, CHARACTER_PT, GAP_PT = 345, 4.3, 6
# The least width of a column of words, in points, and the longest line of a heading over numbers.
LEAST_PT, HEADING_CHARACTERS = 48, 14
_PLAIN = re.compile(r"[A-Za-z0-9 .,;:()/+*=!?@\[\]]")


def latex(report: ReportView) -> str:
    """Return the tables of the results in LaTeX."""
    about = f"{report.name}, experiment {report.id}"
    parts = (part for table in result_tables(report) for part in _parts(table.narrow()))
    return "\n".join([f"% {_comment(about)}", *(line for part in parts for line in _table(part))])


def escape(text: str) -> str:
    """Return a text that LaTeX typesets as it is; a character that it cannot typeset is named by its number."""
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if _PLAIN.fullmatch(character):
        return character
    if (greek := _greek(character)) is not None:
        return greek
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[1] in _ACCENTS and parts[0].isascii() and parts[0].isalpha():
        letter = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0])
        return f"\\{_ACCENTS[parts[1]]}{{{letter}}}"
    return f"[U+{ord(character):04X}]"


def _greek(character: str) -> str | None:
    name = unicodedata.name(character, "")
    small = name.removeprefix("GREEK SMALL LETTER ").lower()
    if name.startswith("GREEK SMALL LETTER ") and small in _GREEK:
        return rf"\ensuremath{{\{small}}}"
    return None


def _comment(text: str) -> str:
    """Return a text for a comment: printable ASCII in one line."""
    return re.sub(r"[^ -~]", "?", text)


def _table(table: TextTable) -> Iterator[str]:
    wide = f"p{{{_width_of_words(table)}pt}}"
    form = "".join(wide if place in table.words else "r" for place in range(len(table.columns)))
    yield ""
    yield r"\begin{table}"
    yield r"\centering\footnotesize"
    yield rf"\caption{{{escape(table.title)}.{' ' + escape(table.note) if table.note else ''}}}"
    yield rf"\label{{tab:{table.name}}}"
    yield r"\setlength{\tabcolsep}{3pt}"
    yield rf"\begin{{tabular}}{{{form}}}"
    yield r"\hline"
    yield "{}" + " & ".join(_heading(text, place in table.words) for place, text in enumerate(table.columns)) + r" \\"
    yield r"\hline"
    yield from map(_row, table.rows)
    yield r"\hline"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _parts(table: TextTable) -> Iterator[TextTable]:
    """Yield the table, or parts of it beside which the first column still fits on a page."""
    widths = _widths(table)
    if sum(widths.values()) <= PAGE_PT - LEAST_PT - GAP_PT or table.words != {0}:
        yield table
        return
    groups: list[list[int]] = [[]]
    for place, width in widths.items():
        if groups[-1] and sum(widths[each] for each in groups[-1]) + width > PAGE_PT - LEAST_PT - GAP_PT:
            groups.append([])
        groups[-1].append(place)
    for number, group in enumerate(groups, 1):
        kept = [0, *group]
        yield replace(
            table,
            name=f"{table.name}-{number}",
            title=f"{table.title} (part {number} of {len(groups)})",
            columns=tuple(table.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
        )


def _widths(table: TextTable) -> dict[int, float]:
    """Return the width of each column of numbers, in points."""
    numbers = [place for place in range(len(table.columns)) if place not in table.words]
    return {
        place: CHARACTER_PT * max(map(len, [*_lines(table.columns[place]), *(row[place] for row in table.rows)]))
        + GAP_PT
        for place in numbers
    }


def _width_of_words(table: TextTable) -> int:
    """Return the width of each column of words: what the columns of numbers leave of a page, in points."""
    left = PAGE_PT - sum(_widths(table).values())
    return max(LEAST_PT, int(left / len(table.words) - GAP_PT))


def _heading(text: str, is_of_words: bool) -> str:
    """Return a heading: over numbers in short lines, since it would make the column wide."""
    lines = _lines(text)
    if is_of_words or len(lines) == 1:
        return escape(text)
    stacked = r" \\ ".join(map(escape, lines))
    return rf"\shortstack[r]{{{stacked}}}"


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, HEADING_CHARACTERS, break_long_words=False, break_on_hyphens=False)


def _row(cells: tuple[str, ...]) -> str:
    # A row that begins with "[" would be taken for an argument of the line break before it.
    return "{}" + " & ".join(map(escape, cells)) + r" \\"
