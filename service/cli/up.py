"""`tet up`, `tet down` and `tet status`: the local stack."""

import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.table import Table

from service.cli.output import out, print_json, say
from service.cli.stack import stack
from service.settings import Settings


def up() -> None:
    """Start Ray, MLflow and the API on this machine, and wait until each of them answers."""
    settings = Settings.from_environment()
    signal.signal(signal.SIGTERM, _exit)  # so that being asked to end cleans up as Ctrl-C does
    stack.up(settings, say)
    out.print(f"API      {settings.api_url}/docs", soft_wrap=True)
    out.print(f"MLflow   {settings.mlflow_public_url}", soft_wrap=True)
    out.print(
        f"Ray      {settings.ray_public_url}   (it asks for a token: cat {settings.ray_token_file})", soft_wrap=True
    )


def down() -> None:
    """End the stack: every process that `tet up` started, and whatever these have started."""
    stack.down(Settings.from_environment(), say)


def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Ask each component whether it does its work; the exit status is 0 if all of them do."""
    components = stack.status(Settings.from_environment())
    if as_json:
        keys = ("name", "url", "pid", "healthy")
        print_json({"components": [{key: getattr(component, key) for key in keys} for component in components]})
    else:
        table = Table("component", "", "pid", "url", "", box=None)
        for c in components:
            mark = "[green]healthy[/]" if c.healthy else "[red]down[/]"
            table.add_row(c.name, mark, str(c.pid or "-"), c.url, c.trouble or "")
        out.print(table)
    if not all(component.healthy for component in components):
        raise typer.Exit(1)


def _exit(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)
