"""`tet report`: the report and the figures of an experiment, as files."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from service.answers.reports import FigureFormat, ReportFormat, ReportView
from service.cli.client import Client
from service.cli.forms import as_model
from service.cli.options import Id, connected
from service.cli.output import say
from service.errors import TetError
from tet_core.files import write_atomic

# Other endings of a file's name that mean a form.
_ENDINGS = {"htm": ReportFormat.HTML, "markdown": ReportFormat.MARKDOWN}


def report(
    experiment_id: Id,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report into this file; its ending is the form."),
    ] = None,
    form: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="The form; without it that of the file's name, and html without a file."),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the figures into this folder too, as SVG and PNG.")
    ] = None,
) -> None:
    """Write the report of an experiment: question, answer, tables, figures, and how to repeat it."""
    chosen = form or (ReportFormat.HTML if output is None else _form_of(output))
    with connected() as client:
        content = client.report(experiment_id, chosen)
        written = [] if figures is None else _write_figures(client, experiment_id, figures)
    if output is None:
        sys.stdout.write(content.decode())
    else:
        _write(output, content)
        written.insert(0, output)
    for file in written:
        say(str(file))


def prepared(folder: Path | None, *, follow: bool = True) -> Path | None:
    """Return the folder for the report of an experiment that is followed to its end; make it now, not at the end.

    Args:
        folder: The folder; None: no report is wanted.
        follow: Whether the experiment is followed.

    Raises:
        TetError: If it cannot be written, or nobody waits for the end.
    """
    if folder is None:
        return None
    if not follow:
        raise TetError(f"--report {folder} needs --follow: the report is written when the experiment has ended")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise TetError(f"--report {folder}: cannot write there: {error.strerror}") from None


def write_report(client: Client, experiment_id: str, folder: Path) -> list[Path]:
    """Write the report as HTML and the figures, and return the files: the report first, then the figures as SVG, PNG.

    Raises:
        TetError: If a file cannot be written, or the API refuses.
    """
    file = folder / f"report.{ReportFormat.HTML}"
    _write(file, client.report(experiment_id, ReportFormat.HTML))
    return [file, *_write_figures(client, experiment_id, folder / "figures")]


def _form_of(file: Path) -> ReportFormat:
    ending = file.suffix.removeprefix(".").lower()
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    if ending not in [form.value for form in ReportFormat]:
        endings = ", ".join(f".{form}" for form in ReportFormat)
        raise TetError(f"--output {file}: its ending must be one of {endings}, or give --format")
    return ReportFormat(ending)


def _write_figures(client: Client, experiment_id: str, folder: Path) -> list[Path]:
    written = []
    for figure in as_model(ReportView, client.report_view(experiment_id)).figures:
        for form in FigureFormat:
            file = folder / f"{figure.name}.{form}"
            _write(file, client.figure(experiment_id, figure.name, form))
            written.append(file)
    return written


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, content)
    except OSError as error:
        raise TetError(f"cannot write {file}: {error.strerror}") from None
