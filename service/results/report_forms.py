"""A report and its figures as text and bytes, in each form: the same for the API and for the files in MLflow."""

from typing import TYPE_CHECKING, assert_never

from service.answers.reports import FigureFormat, ReportFormat
from service.figures.catalogue_of_figures import FigureName, drawn_figures
from service.reports.html_page import html
from service.reports.latex_tables import latex
from service.reports.long_csv import values_csv
from service.reports.markdown_text import markdown
from service.results.report_content import ReportContent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.figures.canvas import Drawn


def report_text(content: ReportContent, form: ReportFormat, figures: "Mapping[FigureName, Drawn] | None" = None) -> str:
    """Return a report in one form.

    Args:
        content: The report.
        form: The form.
        figures: Its drawn figures, for the HTML; None: they are drawn here.
    """
    match form:
        case ReportFormat.HTML:
            return html(content.report, drawn_figures(content.figures) if figures is None else figures)
        case ReportFormat.MARKDOWN:
            return markdown(content.report)
        case ReportFormat.CSV:
            return values_csv(content.report)
        case ReportFormat.LATEX:
            return latex(content.report)
        case ReportFormat.JSON:
            return content.report.model_dump_json(by_alias=True)
        case _:
            assert_never(form)


def figure_bytes(name: FigureName, drawn: "Drawn", form: FigureFormat) -> bytes:
    """Return a drawn figure in one form; a PNG only if it was drawn as one too."""
    match form:
        case FigureFormat.PNG:
            return drawn.png
        case FigureFormat.SVG:
            from service.figures.inline_svg import inline_svg

            return inline_svg(name, drawn.svg, drawn.words).encode()
        case _:
            assert_never(form)
