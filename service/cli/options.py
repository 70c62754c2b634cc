"""Options that several commands take, and the connection to the API."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.client import Client
from service.cli.up import bring_supervisor_back
from service.settings import Settings

Id = Annotated[str, typer.Argument(metavar="ID", help="The experiment's id.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Watch it until it ends.")]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="With --follow: at the end, write the report and the figures into this folder."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="If you repeat the command with the same key and content, it returns the first experiment, not a new one.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's own answer, for programs.")]


def connected() -> Client:
    """Return a client of the API that the settings name.

    If the local stack has lost its supervisor, first start a new supervisor.
    """
    settings = Settings.from_environment()
    bring_supervisor_back(settings)
    return Client(settings.api_url)
