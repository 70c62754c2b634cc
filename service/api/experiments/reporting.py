"""The API's reports and figures: read from the database, made in a thread, a few at a time."""

import re

from starlette.responses import Response

from service.answers.reports import FigureFormat, ReportFormat
from service.api.context import Context
from service.api.experiments.comparing import compared_experiment
from service.api.experiments.views import experiment_summary
from service.errors import NotFound
from service.figures.catalogue_of_figures import FigureName, draw, figures_of
from service.reports.html_page import security_headers
from service.results.report_content import (
    ReportContent,
    ReportedExperiment,
    content_of_figures,
    report_content,
)
from service.results.report_forms import figure_bytes, report_text
from service.settings import Settings
from service.store.stored_results import StoredResults
from service.store.tables import ExperimentRow

# The media types of the forms that are sent as files.
_FILES = {
    ReportFormat.MARKDOWN: "text/markdown",
    ReportFormat.CSV: "text/csv",
    ReportFormat.LATEX: "application/x-tex",
}


def report_response(context: Context, experiment_id: str, form: ReportFormat) -> Response:
    """Make the report of an experiment. This takes seconds.

    Raises:
        NotFound: There is no such experiment.
    """
    content = _content(context, experiment_id)
    text = report_text(content, form)
    if form is ReportFormat.HTML:
        return Response(text, media_type="text/html", headers=security_headers())
    if form is ReportFormat.JSON:
        return Response(text, media_type="application/json")
    return _attachment(text, _FILES[form], f"{_file_name(content.report.name)}-{experiment_id}.{form}")


def figure_response(context: Context, experiment_id: str, name: FigureName, form: FigureFormat) -> Response:
    """Draw a figure of an experiment.

    Raises:
        NotFound: There is no such experiment, or it has no data for this figure.
    """
    with context.database.reading() as repository:
        about = compared_experiment(repository.experiments.get(experiment_id))
        data = content_of_figures(StoredResults(repository, experiment_id), about)
    known = figures_of(data)
    if name not in known:
        listed = ", ".join(known) or "none yet"
        raise NotFound(f"experiment {experiment_id} has no figure {name.value!r}; its figures: {listed}")
    content = figure_bytes(name, draw(name, data, png=form is FigureFormat.PNG), form)
    if form is FigureFormat.PNG:
        return Response(content, media_type="image/png")
    return Response(content, media_type="image/svg+xml", headers=security_headers())


def _content(context: Context, experiment_id: str) -> ReportContent:
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        return report_content(StoredResults(repository, experiment_id), _reported(context.settings, row))


def _reported(settings: Settings, row: ExperimentRow) -> ReportedExperiment:
    shown = experiment_summary(settings, row)
    return ReportedExperiment(
        id=shown.id,
        name=shown.name,
        state=shown.state,
        reason=shown.reason,
        generation=shown.generation,
        created_at=shown.created_at,
        started_at=shown.started_at,
        finished_at=shown.finished_at,
        preset=shown.preset,
        links=shown.links,
        spec=row.spec,
        are_curves_filled=compared_experiment(row).are_curves_filled,
    )


def _file_name(name: str) -> str:
    """Return the name of an experiment as part of a file's name: letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] or "report"


def _attachment(text: str, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'inline; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(text, media_type=f"{media_type}; charset=utf-8", headers=headers)
