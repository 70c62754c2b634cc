"""The supervisor as the others see it: is it there, start it, end it, read what it remembers."""

import contextlib
import signal
import subprocess
import sys
import time

import psutil

from service.cli.stack.component import components, environment
from service.cli.stack.process import PidFile
from service.cli.stack.restarts import RestartsFile
from service.settings import Settings

# It may be in the middle of a restart, and ends that first.
STOP_S = 60.0
START_S = 20.0
POLL_S = 0.05


def pid_file(settings: Settings) -> PidFile:
    """Where the supervisor is remembered."""
    return PidFile(settings.home / "run" / "supervisor.json")


def restarts_file(settings: Settings) -> RestartsFile:
    """Where it remembers what it did."""
    return RestartsFile(settings.home / "run" / "restarts.json")


def pid(settings: Settings) -> int | None:
    """The supervisor's process; None if there is none."""
    record = pid_file(settings).read()
    return record.pid if record is not None and record.is_alive() else None


def start(settings: Settings) -> None:
    """Start a supervisor in the background; of two that are started at once, one stays."""
    subprocess.Popen(
        [sys.executable, "-m", "service.cli.stack.supervisor"],
        env=environment(settings),
        cwd=settings.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ).returncode = 0  # it outlives us: nobody is to warn that it was not waited for
    deadline = time.monotonic() + START_S
    while pid(settings) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)


def stop(settings: Settings) -> None:
    """End the supervisor, and leave what it looks after alone."""
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


def revive(settings: Settings, digest: str) -> bool:
    """Start a supervisor where a stack under these very settings has lost its own; whether that was so."""
    if not (settings.home / "run").exists() or pid(settings) is not None:
        return False
    records = [component.pid_file.read() for component in components(settings) if component.command is not None]
    known = [record for record in records if record is not None]
    if not known or pid_file(settings).read() is None or any(record.settings != digest for record in known):
        return False  # nothing is up, nobody supervises it, or it is not ours to look after
    start(settings)
    return True
