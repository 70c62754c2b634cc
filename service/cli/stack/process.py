"""A background process that we started, found again later and ended with all that it started.

A pid file remembers the process by its pid and by when it was born, since a pid alone may belong to somebody else by
now. Its family is never looked for by name. It is: its descendants; the members of the session that it opened; and
whoever carries its mark in the environment, which children inherit even where they open a session of their own (a Ray
job's driver does) or lost their parent.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psutil

MARK = "TET_STACK_PROCESS"

# Ray's own watchers, which end a job's driver after its supervisor, look once a second.
ORPHANS_GRACE_S = 3.0
KILL_S = 10.0


@dataclass(frozen=True)
class Record:
    """What a pid file says of a process.

    Attributes:
        pid: The process, which leads a session of its own; None while it is about to be started.
        birth: See `birth`.
        mark: The value of `MARK` in its environment and, by inheritance, in its children's.
        settings: A digest of the settings that it was started with.
    """

    pid: int | None
    birth: str
    mark: str
    settings: str

    def is_alive(self) -> bool:
        """Whether that very process, not a later one with its pid, still runs."""
        return self.pid is not None and birth(self.pid) == self.birth

    def family(self) -> list[psutil.Process]:
        """The process and everything that it started and that still runs, youngest last."""
        if not _same_boot(self.birth):
            return []
        found = {process.pid: process for process in self._tree()}
        for process in psutil.process_iter():
            if process.pid not in found and (self._is_session_of(process) or _mark(process) == self.mark):
                found[process.pid] = process
        return [process for process in found.values() if process.pid != os.getpid() and _runs(process)]

    def _tree(self) -> list[psutil.Process]:
        """The process and its descendants; nobody once it has ended."""
        try:
            if not self.is_alive():
                return []
            leader = psutil.Process(self.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _is_session_of(self, process: psutil.Process) -> bool:
        """Whether `process` is in the session that ours opened; a session outlives its leader, under its pid."""
        if self.pid is None or birth(self.pid) not in (None, self.birth):
            return False
        try:
            return os.getsid(process.pid) == self.pid
        except OSError:
            return False

    def stop(self, grace_s: float) -> None:
        """Asks the process to end, then whoever of its family is left, and ends by force who still does not.

        Args:
            grace_s: How long the process may take to end, in seconds; the others get `ORPHANS_GRACE_S` after that.

        Raises:
            TimeoutError: somebody outlived SIGKILL (a process stuck in the kernel).
        """
        family = self.family()  # taken before the process dies, since orphans lose their place in the tree
        leaders = [process for process in family if process.pid == self.pid and self.is_alive()]
        _end(leaders, signal.SIGTERM, grace_s)
        _end(family, signal.SIGTERM, ORPHANS_GRACE_S)
        left = _end([*family, *self.family()], signal.SIGKILL, KILL_S)
        if left:
            raise TimeoutError(f"these processes cannot be ended: {', '.join(str(process.pid) for process in left)}")


@dataclass(frozen=True)
class PidFile:
    """Where one process is remembered."""

    path: Path

    def read(self) -> Record | None:
        """The remembered process, alive or not; None where none is remembered or the file is unreadable."""
        try:
            return Record(**json.loads(self.path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, record: Record) -> None:
        """Remembers `record` in one step, so that no reader sees half of it."""
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(record), indent=1))
        temporary.replace(self.path)

    def remove(self) -> None:
        """Forgets the process."""
        self.path.unlink(missing_ok=True)


@dataclass
class Started:
    """A process just started: its record, and how to learn that it has ended."""

    record: Record
    popen: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, pid_file: PidFile, settings: str
    ) -> Self:
        """Starts `command` in a session of its own and remembers it; what it prints goes to `log`."""
        mark = uuid.uuid4().hex
        # First the mark: were this process killed in the very next moment, the child could still be found by it.
        pid_file.write(Record(None, f"{_boot()}:", mark, settings))
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                env={**env, MARK: mark},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for `tet`, not for it
            )
        record = Record(popen.pid, birth(popen.pid) or "", mark, settings)
        pid_file.write(record)
        return cls(record, popen)

    def exit_status(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        return self.popen.poll()


def _end(processes: list[psutil.Process], signum: int, patience_s: float) -> list[psutil.Process]:
    """Sends a signal to those that still run, and returns those that run after `patience_s` seconds at most."""
    left = [process for process in processes if _runs(process)]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signum)  # psutil makes sure that the pid is still the same process
    deadline = time.monotonic() + patience_s
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if _runs(process)]
    return left


def birth(pid: int) -> str | None:
    """What tells the process `pid` from any other that ever had this pid; None when no such process runs.

    On Linux the boot's id and the start in clock ticks: wall-clock times move when the clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        stat = Path(f"/proc/{pid}/stat")
        ticks = stat.read_text().rpartition(")")[2].split()[19] if stat.exists() else str(process.create_time())
        return f"{_boot()}:{ticks}"
    except (psutil.NoSuchProcess, OSError):
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "boot"


def _same_boot(birth: str) -> bool:
    return birth.partition(":")[0] == _boot()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
