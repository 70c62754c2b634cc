"""Control of the supervisor from other processes: find it, start it and end it."""

import contextlib
import signal
import subprocess
import sys
import time
import uuid

import psutil

from service.cli.stack.component import component_environment, components
from service.cli.stack.process import COMPONENT, MARK, PidFile
from service.cli.stack.restarts import RestartsFile
from service.settings import Settings

SUPERVISOR = "supervisor"
SUPERVISOR_COMMAND = (sys.executable, "-m", "service.cli.stack.supervisor")
# Seconds that the supervisor has to end: it first finishes a restart that it has started.
STOP_S = 60.0
# Seconds to wait until a started supervisor has written its pid file.
START_S = 20.0
POLL_S = 0.05


def pid_file(settings: Settings) -> PidFile:
    """Return the file that names the supervisor's process."""
    return PidFile(settings.home / "run" / f"{SUPERVISOR}.json")


def restarts_file(settings: Settings) -> RestartsFile:
    """Return the file with the restarts of the components."""
    return RestartsFile(settings.home / "run" / "restarts.json")


def supervisor_pid(settings: Settings) -> int | None:
    """Return the supervisor's process id; None if it does not run."""
    record = pid_file(settings).read()
    return record.pid if record is not None and record.is_alive() else None


def start_supervisor(settings: Settings) -> None:
    """Start a supervisor in the background, and wait until it runs; if two start at once, one of them exits."""
    subprocess.Popen(
        SUPERVISOR_COMMAND,
        env={**component_environment(settings), MARK: uuid.uuid4().hex, COMPONENT: SUPERVISOR},
        cwd=settings.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ).returncode = 0  # it outlives this process: keep Python from warning that nobody waited for it
    deadline = time.monotonic() + START_S
    while supervisor_pid(settings) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)


def stop_supervisor(settings: Settings) -> None:
    """End the supervisor; the components keep running."""
    record = pid_file(settings).read()
    if record is not None and record.pid is not None and record.is_alive():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(record.pid)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except psutil.TimeoutExpired:
                process.kill()
    pid_file(settings).remove()


def revive_supervisor(settings: Settings, digest: str) -> bool:
    """Start a supervisor if the stack has these settings and has lost its supervisor; return whether it was started."""
    if not (settings.home / "run").exists() or supervisor_pid(settings) is not None:
        return False
    records = [component.pid_file.read() for component in components(settings) if component.command is not None]
    known = [record for record in records if record is not None]
    if not known or pid_file(settings).read() is None or any(record.settings != digest for record in known):
        return False  # nothing is up, the stack was started without a supervisor, or it has other settings
    start_supervisor(settings)
    return True
