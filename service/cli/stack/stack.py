"""Starting, ending and describing the local stack as a whole."""

from dataclasses import dataclass

from service.cli.stack import supervisor_control
from service.cli.stack.component import RAY_OPEN, Component, components
from service.cli.stack.home import StackError, check_home, locked, make_home, settings_digest
from service.cli.stack.ports import open_addresses
from service.cli.stack.process import StartedProcess
from service.cli.stack.recovery import living, recover
from service.cli.stack.restarts import Restarts
from service.cli.stack.starting import Say, end_component, needs_no_start, start_component, wait_for_answer
from service.settings import Settings

# Seconds that a process without a pid file may take to end after SIGTERM.
OTHERS_STOP_S = 10.0


@dataclass(frozen=True)
class Status:
    """The status of one component; `pid` is None if the component does not run from this home."""

    name: str
    url: str
    pid: int | None
    healthy: bool
    trouble: str | None
    restarts: Restarts


def status(settings: Settings) -> list[Status]:
    """Return the status of every component."""
    check_home(settings)
    past = supervisor_control.restarts_file(settings).read()
    return [_status(component, settings, past.get(component.name, Restarts())) for component in components(settings)]


def _status(component: Component, settings: Settings, restarts: Restarts) -> Status:
    record = component.pid_file.read()
    pid = record.pid if record and record.is_alive() else None
    trouble = component.trouble(settings)
    if component.command is not None and pid is None:
        other = f"{component.url} is answered by another {component.name}" if trouble is None else trouble
        trouble = f"TET_HOME={settings.home} runs no {component.name}; {other}"
    return Status(component.name, component.url, pid, trouble is None, trouble, restarts)


def exposed(settings: Settings) -> str | None:
    """Return a warning if other machines may reach Ray's head: a few bytes from them can end it."""
    ray = next(component for component in components(settings) if component.name == "ray")
    if ray.command is None or not (addresses := open_addresses(settings.ray_gcs_port)):
        return None
    where = ", ".join(addresses)
    return (
        f"Ray's head listens on {where}, port {settings.ray_gcs_port}: a program that reaches that port can end it "
        f"without a token. Unset {RAY_OPEN} and start again, or close the port with a firewall (see SECURITY.md)"
    )


def up(settings: Settings, say: Say, *, supervise: bool = True) -> None:
    """Start every component that does not run, and return once all of them answer.

    Args:
        settings: The stack's settings.
        say: Called with a message at each step.
        supervise: Whether to restart components that fail later.

    Raises:
        StackError: A port is taken, or a component ended or did not answer in time. The components that
            this call started have been ended again.
    """
    make_home(settings)
    recover(settings, say, missing=True)
    _refuse_other_settings(settings)
    supervisor_control.stop_supervisor(settings)
    try:
        _up(settings, say)
    finally:
        if supervise and any(component.pid_file.path.exists() for component in components(settings)):
            supervisor_control.start_supervisor(settings)


def _refuse_other_settings(settings: Settings) -> None:
    """Raise an error if a component runs with other settings; `up` then leaves its supervisor running."""
    for component in components(settings):
        record = component.pid_file.read()
        if record is not None and record.is_alive() and record.settings != settings_digest(settings):
            raise StackError(f"{component.name} is up with other settings (process {record.pid}): run `tet down` first")


def _up(settings: Settings, say: Say) -> None:
    with locked(settings):
        missing = [component for component in components(settings) if not needs_no_start(component, settings, say)]
        taken = [port.complaint() for component in missing for port in component.ports if not port.is_free()]
        if taken:
            raise StackError("\n".join(taken))
        supervisor_control.restarts_file(settings).forget([component.name for component in missing])
        started: list[Component] = []
        try:
            _start_all(missing, started, settings, say)
        except BaseException:
            say("ending what was started")
            for component in reversed(started):
                end_component(component)
            raise


def down(settings: Settings, say: Say) -> None:
    """End every process of the stack.

    The supervisor ends first, so that it restarts nothing. The API is next, so that it submits no more jobs. MLflow is
    the last component, so that drivers can ship commits until they end.
    """
    check_home(settings)
    if not settings.home.exists():
        say("nothing is up")
        return
    recover(settings, say, missing=True)
    supervisor_control.stop_supervisor(settings)
    with locked(settings):
        order = {"api": 0, "ray": 1, "mlflow": 2}
        stopped = False
        for component in sorted(components(settings), key=lambda component: order[component.name]):
            if component.pid_file.path.exists():
                end_component(component)
                say(f"{component.name} ended")
                stopped = True
        stopped = _end_others(settings, say) or stopped
        supervisor_control.restarts_file(settings).path.unlink(missing_ok=True)
        if not stopped:
            say("nothing is up")


def _end_others(settings: Settings, say: Say) -> bool:
    """End processes of this stack that no pid file names, such as a second process of a component."""
    found = [(name, record) for name, records in living(settings).items() for record in records]
    others = [(name, record) for name, record in found if record.family()]  # `family` leaves this process out
    for name, record in others:
        try:
            record.stop(OTHERS_STOP_S)
        except TimeoutError as error:
            raise StackError(f"{name}: {error}") from None
        say(f"another {name} ended, which no file in {settings.home / 'run'} named")
    return bool(others)


def _start_all(missing: list[Component], started: list[Component], settings: Settings, say: Say) -> None:
    """Start Ray and MLflow side by side, then the API, which migrates the database."""

    def start(component: Component) -> tuple[Component, StartedProcess]:
        say(f"starting {component.name}")
        started.append(component)
        return component, start_component(component, settings)

    def wait(component: Component, process: StartedProcess) -> None:
        wait_for_answer(component, process, settings)
        say(f"{component.name} is up: {component.url}")

    running = [start(component) for component in missing if component.name != "api"]
    for component, process in running:
        wait(component, process)
    for component in missing:
        if component.name == "api":
            wait(*start(component))
