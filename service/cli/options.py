"""What several commands share: their options, and the connection to the API."""

from typing import Annotated, Any

import typer

from service.cli.client import Client
from service.cli.up import bring_supervisor_back
from service.settings import Settings

Json = dict[str, Any]

Id = Annotated[str, typer.Argument(metavar="ID", help="The experiment's id.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Watch it until it ends.")]
Key = Annotated[
    str | None, typer.Option(metavar="KEY", help="The same key and content again give the same experiment.")
]
AsJson = Annotated[bool, typer.Option("--json", help="The API's own answer, for programs.")]


def connected() -> Client:
    """A connection to the API that the settings name; a stack that has lost its supervisor gets another one."""
    settings = Settings.from_environment()
    bring_supervisor_back(settings)
    return Client(settings.api_url)
