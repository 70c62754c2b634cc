"""Starting, ending and describing the local stack as a whole."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from service.cli.stack import supervising
from service.cli.stack.component import Component, components, environment
from service.cli.stack.process import Record, Started
from service.cli.stack.restarts import Restarts
from service.errors import TetError
from service.settings import Settings

PROBE_INTERVAL_S = 0.25
# Those who were killed leave their ports a moment later.
PORTS_FREE_S = 10.0
TAIL_LINES = 15

Say = Callable[[str], None]


class StackError(TetError):
    """The stack cannot be started or ended; the message says what to do."""


class Busy(StackError):  # noqa: N818 - named for what it says
    """Somebody else is starting or ending the stack just now."""


@dataclass(frozen=True)
class Status:
    """What is known of one component; `pid` is None if it was not started from this home."""

    name: str
    url: str
    pid: int | None
    healthy: bool
    trouble: str | None
    restarts: Restarts


def status(settings: Settings) -> list[Status]:
    """Asks every component its question."""
    found = []
    past = supervising.restarts_file(settings).read()
    for component in components(settings):
        record = component.pid_file.read()
        trouble = component.trouble(settings)
        pid = record.pid if record and record.is_alive() else None
        restarts = past.get(component.name, Restarts())
        found.append(Status(component.name, component.url, pid, trouble is None, trouble, restarts))
    return found


def up(settings: Settings, say: Say, *, supervise: bool = True) -> None:
    """Starts whatever of the stack does not run, and returns once all of it answers.

    Args:
        settings: Which stack.
        say: Told of what is going on.
        supervise: Whether what dies later is to be started anew.

    Raises:
        StackError: a port is taken, or a component ended or did not answer in time. What this call started has been
            ended again.
    """
    _make_home(settings)
    _refuse_other_settings(settings)
    supervising.stop(settings)
    try:
        _up(settings, say)
    finally:
        if supervise and any(component.pid_file.path.exists() for component in components(settings)):
            supervising.start(settings)


def _refuse_other_settings(settings: Settings) -> None:
    """What runs under other settings, supervisor included, is left alone."""
    for component in components(settings):
        record = component.pid_file.read()
        if record is not None and record.is_alive() and record.settings != digest(settings):
            raise StackError(f"{component.name} is up with other settings (process {record.pid}): run `tet down` first")


def _up(settings: Settings, say: Say) -> None:
    with locked(settings):
        missing = [component for component in components(settings) if not _is_up(component, settings, say)]
        taken = [port.complaint() for component in missing for port in component.ports if not port.is_free()]
        if taken:
            raise StackError("\n".join(taken))
        supervising.restarts_file(settings).forget([component.name for component in missing])
        started: list[Component] = []
        try:
            _start_all(missing, started, settings, say)
        except BaseException:
            say("ending what was started")
            for component in reversed(started):
                _stop(component)
            raise


def down(settings: Settings, say: Say) -> None:
    """Ends every process of the stack; without one, does nothing.

    The API goes first, so that it submits nothing more, and MLflow last, so that trials can log until they end.
    """
    if not settings.home.exists():
        say("nothing is up")
        return
    supervising.stop(settings)
    with locked(settings):
        order = {"api": 0, "ray": 1, "mlflow": 2}
        stopped = False
        for component in sorted(components(settings), key=lambda component: order[component.name]):
            if component.pid_file.path.exists():
                _stop(component)
                say(f"{component.name} ended")
                stopped = True
        supervising.restarts_file(settings).path.unlink(missing_ok=True)
        if not stopped:
            say("nothing is up")


def restart(component: Component, settings: Settings) -> Started:
    """Ends what is left of a component and starts it anew; the caller holds the lock, and does not wait for it."""
    _stop(component)
    deadline = time.monotonic() + PORTS_FREE_S
    while not all(port.is_free() for port in component.ports) and time.monotonic() < deadline:
        time.sleep(PROBE_INTERVAL_S)
    return _start(component, settings)


def _start_all(missing: list[Component], started: list[Component], settings: Settings, say: Say) -> None:
    """Starts Ray and MLflow side by side, then the API, which brings the database up to date."""

    def start(component: Component) -> tuple[Component, Started]:
        say(f"starting {component.name}")
        started.append(component)
        return component, _start(component, settings)

    def wait(component: Component, process: Started) -> None:
        _await(component, process, settings)
        say(f"{component.name} is up: {component.url}")

    running = [start(component) for component in missing if component.name != "api"]
    for component, process in running:
        wait(component, process)
    for component in missing:
        if component.name == "api":
            wait(*start(component))


def _await(component: Component, process: Started, settings: Settings) -> None:
    deadline = time.monotonic() + component.start_s
    while True:
        # In this order: what answers while our process is dead is somebody else's.
        trouble = component.trouble(settings)
        exit_status = process.exit_status()
        if exit_status is not None:
            raise StackError(f"{component.name} ended at once (exit status {exit_status})\n{_tail(component.log)}")
        if trouble is None:
            return
        if time.monotonic() > deadline:
            late = f"{component.name} does not answer after {component.start_s:.0f} s: {trouble}"
            raise StackError(f"{late}\n{_tail(component.log)}")
        time.sleep(PROBE_INTERVAL_S)


def _is_up(component: Component, settings: Settings, say: Say) -> bool:
    """Whether a component needs no start; clears away what is left of one that does."""
    if component.command is None:
        if trouble := component.trouble(settings):
            raise StackError(f"{component.name} is set to run elsewhere, and does not answer there: {trouble}")
        return True
    record = component.pid_file.read()
    if record is None:
        return False
    if record.is_alive():
        trouble = component.trouble(settings)
        if trouble is None:
            say(f"{component.name} is already up: {component.url}")
            return True
        say(f"{component.name} runs, but does not answer ({trouble}): starting it anew")
    else:
        say(f"{component.name} has died: starting it anew" if record.family() else f"{component.name} is not running")
    _stop(component)
    return False


def _start(component: Component, settings: Settings) -> Started:
    assert component.command is not None  # `_is_up` answers for the others
    if component.scratch is not None:
        _make_private(component.scratch)
    if component.log.exists():
        component.log.replace(component.log.with_suffix(".previous.log"))
    return Started.start(
        component.command,
        env=environment(settings),
        cwd=settings.home,
        log=component.log,
        pid_file=component.pid_file,
        settings=digest(settings),
    )


def _stop(component: Component) -> None:
    record: Record | None = component.pid_file.read()
    if record is not None:
        try:
            record.stop(component.stop_s)
        except TimeoutError as error:
            raise StackError(f"{component.name}: {error}") from None
    component.pid_file.remove()
    if component.scratch is not None:
        shutil.rmtree(component.scratch, ignore_errors=True)


def _make_home(settings: Settings) -> None:
    """Makes the stack's folders, for this user alone, and a token for Ray."""
    try:
        for folder in (settings.home, settings.home / "run", settings.home / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        settings.home.chmod(0o700)
        settings.storage.mkdir(parents=True, exist_ok=True)
        if not settings.ray_token_file.exists():
            descriptor = os.open(settings.ray_token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
    except OSError as error:
        raise StackError(f"TET_HOME={settings.home} cannot be used: {error}") from None


def _make_private(folder: Path) -> None:
    """Makes a folder in /tmp that only this user can look into.

    Raises:
        StackError: somebody else made it, who could then read or replace what is in it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StackError(f"{folder} belongs to somebody else: remove it, or set TET_HOME to another folder")
    folder.chmod(0o700)


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Keeps two `tet` from starting and ending one stack at once; the lock ends with its holder."""
    with (settings.home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another `tet up` or `tet down` is at work in {settings.home}: wait for it") from None
        yield


def digest(settings: Settings) -> str:
    """What tells these settings from others."""
    return hashlib.sha256(json.dumps(settings.environment(), sort_keys=True).encode()).hexdigest()


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"the end of {log}:", *(f"  {line}" for line in lines[-TAIL_LINES:])])
