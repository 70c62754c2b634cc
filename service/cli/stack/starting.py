"""Starting and ending one component of the stack, and waiting until it answers."""

import shutil
import time
from collections.abc import Callable

from service.cli.stack import log_files
from service.cli.stack.component import Component, component_environment
from service.cli.stack.home import StackError, make_private, settings_digest
from service.cli.stack.process import StartedProcess
from service.settings import Settings

# Seconds between two checks whether a component answers.
PROBE_INTERVAL_S = 0.25
# Seconds to wait for the ports of a killed process.
PORTS_FREE_S = 10.0
# Lines of a log that an error shows.
TAIL_LINES = 15

Say = Callable[[str], None]


def needs_no_start(component: Component, settings: Settings, say: Say) -> bool:
    """Return whether a component works, on this machine or elsewhere; if not, end its remaining processes."""
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
        say(f"{component.name} runs, but does not answer ({trouble}): restarting it")
    else:
        say(f"{component.name} has died: restarting it" if record.family() else f"{component.name} is not running")
    end_component(component)
    return False


def start_component(component: Component, settings: Settings) -> StartedProcess:
    """Start a component in the background, without waiting until it answers."""
    assert component.command is not None  # `needs_no_start` returns True for components without a command
    if component.scratch is not None:
        make_private(component.scratch)
    log_files.start_new(component.log)
    return StartedProcess.start(
        component.command,
        env=component_environment(settings),
        cwd=settings.home,
        log=component.log,
        pid_file=component.pid_file,
        settings=settings_digest(settings),
    )


def wait_for_answer(component: Component, process: StartedProcess, settings: Settings) -> None:
    """Wait until a component answers.

    Raises:
        StackError: It ended, or did not answer within its `start_s`.
    """
    deadline = time.monotonic() + component.start_s
    while True:
        # In this order: if our process has ended, the answer came from another process.
        trouble = component.trouble(settings)
        exit_status = process.exit_status()
        if exit_status is not None:
            raise StackError(f"{component.name} ended at once (exit status {exit_status})\n{_tail(component)}")
        if trouble is None:
            return
        if time.monotonic() > deadline:
            late = f"{component.name} does not answer after {component.start_s:.0f} s: {trouble}"
            raise StackError(f"{late}\n{_tail(component)}")
        time.sleep(PROBE_INTERVAL_S)


def end_component(component: Component) -> None:
    """End a component and its whole family, and remove its scratch folder."""
    record = component.pid_file.read()
    if record is not None:
        try:
            record.stop(component.stop_s)
        except TimeoutError as error:
            raise StackError(f"{component.name}: {error}") from None
    component.pid_file.remove()
    if component.scratch is not None:
        shutil.rmtree(component.scratch, ignore_errors=True)


def restart(component: Component, settings: Settings) -> StartedProcess:
    """End a component's remaining processes, and start it again without waiting; the caller holds the lock."""
    end_component(component)
    deadline = time.monotonic() + PORTS_FREE_S
    while not all(port.is_free() for port in component.ports) and time.monotonic() < deadline:
        time.sleep(PROBE_INTERVAL_S)
    return start_component(component, settings)


def _tail(component: Component) -> str:
    log = component.log
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"the end of {log}:", *(f"  {line}" for line in lines[-TAIL_LINES:])])
