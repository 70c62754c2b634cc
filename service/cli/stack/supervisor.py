"""The supervisor of the local stack: it restarts components that fail, after increasing waits, and rotates their logs.

`python -m service.cli.stack.supervisor` runs it with the settings of its environment until it gets a signal or the
stack is down. Each stack has one supervisor, which holds a lock while it runs. The components do not depend on it. If
it dies, they keep running, and the next `tet` command starts a new supervisor, which reads the files in `run/`.
"""

import contextlib
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from logging.handlers import RotatingFileHandler
from typing import TextIO

from service import signals
from service.cli.stack import log_files
from service.cli.stack.component import Component, components
from service.cli.stack.home import Busy, locked, settings_digest
from service.cli.stack.process import MARK, ProcessRecord, StartedProcess, birth
from service.cli.stack.recovery import recover
from service.cli.stack.restarts import Policy, Restarts
from service.cli.stack.starting import restart
from service.cli.stack.supervisor_control import pid_file, restarts_file
from service.settings import Settings
from service.times import log_to

log = logging.getLogger("supervisor")

# Seconds between two looks at all processes.
ROUND_INTERVAL_S = 1.0
# Seconds between two health checks of a component: a check costs it work, and a silent component blocks the loop.
CHECK_INTERVAL_S = 5.0
LOG_BYTES = 1_000_000


class Supervisor:
    """A loop over the components, which remembers since when each has not answered."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self._policy = Policy(settings.restart_limit, settings.restart_window_s)
        self._file = restarts_file(settings)
        self._checked_at: dict[str, float] = {}
        self._silent_since: dict[str, float] = {}
        self._works_since: dict[str, float] = {}
        self._coming_up: set[str] = set()
        # Components that this process has restarted: only the parent of a process learns how it ended.
        self._started: dict[str, StartedProcess] = {}

    def run(self) -> None:
        """Supervise the stack until `stop` is set, or the stack is down."""
        while not self._stop.is_set():
            own = [component for component in components(self._settings) if component.command is not None]
            if not any(component.pid_file.path.exists() for component in own):
                log.info("the stack is down")
                return
            for component in own:
                try:
                    log_files.rotate(component.log, self._settings.log_bytes)
                    self._check(component)
                except Exception:  # such as a full disk: check the other components all the same
                    log.exception("%s could not be checked", component.name)
            self._stop.wait(ROUND_INTERVAL_S)

    def _check(self, component: Component) -> None:
        if component.pid_file.is_damaged():
            recover(self._settings, log.warning, missing=False)
        record = component.pid_file.read()
        if record is None or self._stop.is_set():
            return
        fault = self._fault(component, record)
        if fault is None:
            return
        self._works_since.pop(component.name, None)
        past = self._file.read().get(component.name, Restarts())
        due_at = past.due_at(self._policy, time.time())
        if due_at is None:
            if not past.given_up:
                log.error("%s: %s; given up", component.name, fault)
                self._remember(component.name, past.give_up(self._policy, fault))
        elif time.time() >= due_at:
            self._restart(component, record, past, fault)

    def _fault(self, component: Component, record: ProcessRecord) -> str | None:
        """Return what is wrong with a component; None if it works, or has been silent only for a short time."""
        name, now = component.name, time.monotonic()
        if not record.is_alive():
            return self._end_of_process(component)
        if now - self._checked_at.get(name, -CHECK_INTERVAL_S) < CHECK_INTERVAL_S:
            return None
        self._checked_at[name] = now
        trouble = component.trouble(self._settings)
        if trouble is None:
            self._silent_since.pop(name, None)
            self._coming_up.discard(name)
            self._refill(name, now - self._works_since.setdefault(name, now))
            return None
        self._works_since.pop(name, None)
        silent_s = now - self._silent_since.setdefault(name, now)
        if silent_s < (component.start_s if name in self._coming_up else self._settings.hang_s):
            return None
        return f"it has not answered for {silent_s:.0f} s: {trouble}"

    def _refill(self, name: str, worked_s: float) -> None:
        """Allow all restarts again once a component has worked for long enough."""
        past = self._file.read().get(name)
        if past is not None and (past.recent or past.given_up) and worked_s >= self._policy.refill_s:
            log.info("%s: it has worked for %.0f s; earlier restarts no longer count", name, worked_s)
            self._remember(name, past.refilled())

    def _end_of_process(self, component: Component) -> str:
        started = self._started.get(component.name)
        status = None if started is None else started.exit_status()
        if status is None:
            return "it died"
        return f"it was killed by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"

    def _restart(self, component: Component, record: ProcessRecord, past: Restarts, fault: str) -> None:
        """Restart a component; if another process starts or ends the stack, try again in the next round."""
        with contextlib.suppress(Busy), locked(self._settings):
            if component.pid_file.read() != record:
                return
            log.warning("%s: %s; restarting it", component.name, fault)
            self._started[component.name] = restart(component, self._settings)
            self._silent_since.pop(component.name, None)
            self._coming_up.add(component.name)
            self._remember(component.name, past.restarted(self._policy, time.time(), fault))

    def _remember(self, name: str, past: Restarts) -> None:
        self._file.write({**self._file.read(), name: past})


def main() -> int:
    """Supervise the stack, unless another supervisor already does; return the exit status."""
    settings = Settings.from_environment()
    log_to(RotatingFileHandler(settings.home / "logs" / "supervisor.log", maxBytes=LOG_BYTES, backupCount=1))
    stop = threading.Event()
    signals.set_on(stop, signal.SIGTERM, signal.SIGINT)
    with (settings.home / "supervisor.lock").open("w") as lock:
        if not _is_ours(lock):
            return 0
        pid = os.getpid()
        own = ProcessRecord(pid, birth(pid) or "", os.environ.get(MARK, ""), settings_digest(settings))
        pid_file(settings).write(own)
        log.info("supervising the stack, as process %d", pid)
        try:
            Supervisor(settings, stop).run()
        finally:
            if pid_file(settings).read() == own:
                pid_file(settings).remove()
    return 0


def _is_ours(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
