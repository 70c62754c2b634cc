"""The report as one HTML file without scripts and without outside resources: for reading, mail and print.

Jinja2 escapes everything that comes from outside. Beyond this, the page's Content-Security-Policy allows nothing but
its own style sheet, named by its hash, and pictures within the page. The policy is in the page too, so that it also
holds for a file that was mailed.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.answers.reports import ReportView
from service.figures.catalogue_of_figures import FigureName
from service.reports.text_tables import background_tables, result_tables
from service.states import TERMINAL
from service.text import printable
from service.times import for_people

if TYPE_CHECKING:
    from jinja2 import Template

    from service.figures.canvas import Drawn

_FOLDER = Path(__file__).parent
# Verdicts and notes that are listed; of more, the page would be longer than its tables.
MAX_LISTED = 60
# Characters of a spec that the page shows.
MAX_SPEC = 100_000


@dataclass(frozen=True)
class _Figure:
    name: str
    title: str
    caption: str
    svg: object  # safe to insert: an element that our own code has made


def html(report: ReportView, figures: "Mapping[FigureName, Drawn]") -> str:
    """Return the page. The first call loads Jinja2.

    Args:
        report: The report.
        figures: Its figures, in the order of the page.
    """
    spec = json.dumps(report.spec, indent=2, ensure_ascii=False)
    return _template().render(
        report=report,
        css=_css(),
        policy=_policy(),
        times=_times(report),
        running=report.state not in TERMINAL,
        results=result_tables(report),
        background=background_tables(report),
        notes=report.comparison.notes[len(report.comparison.verdicts) :],
        figures=_figures(figures),
        rests=_rests(report),
        spec=printable(spec) if len(spec) <= MAX_SPEC else "",
        most_listed=MAX_LISTED,
    )


def security_headers() -> dict[str, str]:
    """Return the headers with which the page is sent."""
    return {
        "Content-Security-Policy": f"{_policy()}; frame-ancestors 'none'; sandbox",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, finalize=_printable_value
    )
    return environment.get_template("page.html.j2")


def _printable_value(value: object) -> object:
    """Return a value of the page; hidden characters in plain text are shown as escapes."""
    return printable(value) if type(value) is str else value


@cache
def _css() -> object:
    from markupsafe import Markup

    return Markup(_css_text())


@cache
def _css_text() -> str:
    return (_FOLDER / "page.css").read_text(encoding="utf-8")


def _policy() -> str:
    style = base64.b64encode(hashlib.sha256(_css_text().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'"


def _figures(figures: "Mapping[FigureName, Drawn]") -> list[_Figure]:
    from markupsafe import Markup

    from service.figures.inline_svg import inline_svg

    return [
        _Figure(name, drawn.words.title, drawn.words.caption, Markup(inline_svg(name, drawn.svg, drawn.words)))
        for name, drawn in figures.items()
    ]


def _times(report: ReportView) -> str:
    parts = (("started", report.started_at), ("ended", report.finished_at))
    return ", ".join(f"{word} {for_people(at)}" for word, at in parts if at is not None)


def _rests(report: ReportView) -> str:
    """Return what the answer rests on, in sentences."""
    counted: Sequence[object] = report.chains
    sentences = [f"The answer is computed from {len(counted):,} of {report.num_chains:,} chains."]
    if report.deviations is None:
        sentences.append("The experiment was posted without a preset.")
    elif not report.deviations:
        sentences.append(f"The experiment is the preset {report.preset} without any deviation.")
    else:
        sentences.append(f"The experiment deviates from the preset {report.preset} as listed.")
    if not report.failures:
        sentences.append("No stage has failed.")
    if not report.environments:
        sentences.append("The environment was not recorded.")
    sentences.append(f"Generation {report.generation}; report by version {report.version} of the service.")
    return " ".join(sentences)
