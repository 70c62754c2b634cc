"""`tet up`, `tet down` and `tet status`: the local stack."""

import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from service.cli.output import out, print_json, say
from service.cli.stack import stack, supervisor_control
from service.cli.stack.home import StackError, check_home, settings_digest
from service.cli.stack.recovery import recover
from service.settings import Settings
from service.times import for_people, for_programs


def up(
    supervise: Annotated[bool, typer.Option(help="Restart components that die, until `tet down`.")] = True,
) -> None:
    """Start Ray, MLflow and the API on this machine, and wait until each of them answers."""
    settings = Settings.from_environment()
    signal.signal(signal.SIGTERM, _exit)  # clean up as after Ctrl-C
    stack.up(settings, say, supervise=supervise)
    if warning := stack.exposed(settings):
        say(f"warning: {warning}")
    out.print(f"API      {settings.api_url}/docs", soft_wrap=True)
    out.print(f"MLflow   {settings.mlflow_public_url}", soft_wrap=True)
    out.print(
        f"Ray      {settings.ray_public_url}   (it asks for a token: cat {settings.ray_token_file})", soft_wrap=True
    )


def down() -> None:
    """End the stack: every process that `tet up` started, and all of their children."""
    stack.down(Settings.from_environment(), say)


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """Ask each component whether it works; the exit status is 0 if all of them do.

    Lost pid files are written again, and a lost supervisor is replaced.
    """
    settings = Settings.from_environment()
    check_home(settings)
    recover(settings, say, missing=True)
    bring_supervisor_back(settings)
    components, supervisor = stack.status(settings), supervisor_control.supervisor_pid(settings)
    warning = stack.exposed(settings)
    if as_json:
        watching = {"pid": supervisor, "healthy": supervisor is not None}
        listed = [_plain(component) for component in components]
        print_json({"components": listed, "supervisor": watching, "warnings": [warning] if warning else []})
    else:
        out.print(_table(components))
        known = f"process {supervisor}" if supervisor else "not running: components that die are not restarted"
        out.print(f"supervisor {known}")
        if warning:
            say(f"warning: {warning}")
    if not all(component.healthy for component in components):
        raise typer.Exit(1)


def bring_supervisor_back(settings: Settings) -> None:
    """Write damaged pid files again, and start a new supervisor if the stack has lost its supervisor."""
    try:
        check_home(settings)
        if settings.home.exists():
            recover(settings, say, missing=False)
    except (StackError, OSError):  # no stack can run there; `tet status` says why
        return
    if supervisor_control.revive_supervisor(settings, settings_digest(settings)):
        say("the stack had lost its supervisor, so another one was started")


def _plain(component: stack.Status) -> dict[str, Any]:
    past = component.restarts
    last = None if past.at is None else {"at": for_programs(past.at), "reason": past.reason}
    keys = ("name", "url", "pid", "healthy")
    known = {key: getattr(component, key) for key in keys} | {"trouble": component.trouble}
    return known | {"restarts": past.count, "last_restart": last, "given_up": past.given_up}


def _table(components: list[stack.Status]) -> Table:
    table = Table("component", "", "pid", "restarts", "url", "", box=None)
    for c in components:
        mark = "[green]healthy[/]" if c.healthy else "[red]down[/]"
        past = f"last restart {for_people(c.restarts.at)}: {c.restarts.reason}" if c.restarts.at else ""
        words = "; ".join(filter(None, [c.trouble, c.restarts.reason if c.restarts.given_up else past]))
        table.add_row(c.name, mark, str(c.pid or "-"), str(c.restarts.count), c.url, escape(words))
    return table


def _exit(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)
