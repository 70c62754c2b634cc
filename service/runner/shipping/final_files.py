"""The files of the run "results" that are made once, when an experiment ends: the report and the figures.

They are those of the API: `service.results` makes both. matplotlib and Jinja2 are loaded here, and not before.
"""

import logging
from typing import TYPE_CHECKING

from service.answers.reports import FigureFormat, ReportFormat
from service.figures.catalogue_of_figures import FigureName, draw, figures_of
from service.figures.figure_data import FigureData
from service.results.report_content import ReportContent
from service.results.report_forms import figure_bytes, report_text

if TYPE_CHECKING:
    from service.figures.canvas import Drawn

log = logging.getLogger(__name__)

# The forms of the report. `comparison.json` has the numbers for programs.
FORMS = (ReportFormat.HTML, ReportFormat.MARKDOWN, ReportFormat.CSV, ReportFormat.LATEX)
# The report for reading, which is named first wherever the files are named.
REPORT = f"report.{ReportFormat.HTML}"
# The folder of the figures.
FIGURES = "figures"


def final_files(content: ReportContent) -> tuple[dict[str, bytes], list[str]]:
    """Make the files.

    Returns:
        The files by path, and the paths of those that cannot be made. The log has the errors.
    """
    files: dict[str, bytes] = {}
    missing: list[str] = []
    figures = _drawn(content.figures)
    for form in FORMS:
        try:
            files[f"report.{form}"] = report_text(content, form, figures).encode()
        except Exception:  # nothing depends on it
            log.exception("the report in the form %s cannot be made", form)
            missing.append(f"report.{form}")
    for name in figures_of(content.figures):
        for figure_form in FigureFormat:
            path = f"{FIGURES}/{name}.{figure_form}"
            if name in figures:
                files[path] = figure_bytes(name, figures[name], figure_form)
            else:
                missing.append(path)
    return files, missing


def _drawn(data: FigureData) -> "dict[FigureName, Drawn]":
    """Draw all figures; one that cannot be drawn is left out, and the report does without it."""
    figures = {}
    for name in figures_of(data):
        try:
            figures[name] = draw(name, data, png=True)
        except Exception:  # nothing depends on it
            log.exception("the figure %s cannot be drawn", name)
    return figures
