"""Background processes and their families, which are found again later and ended together.

A pid file names the process by its pid and by its birth (the time of its start), because another process may have the
same pid by now. Its family is never looked for by name. The family is: its descendants; the members of the session that
it opened; and all processes with its mark (a random text) in their environment. Children inherit the mark even if they
open a session of their own, as the driver of a Ray job does, or lose their parent. `service.cli.stack.recovery` finds a
process whose pid file is lost.
"""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import psutil
from pydantic import Field, TypeAdapter, ValidationError

from tet_core.files import write_atomic

MARK = "TET_STACK_PROCESS"
# The variable that names the component in the environment of its processes.
COMPONENT = "TET_STACK_COMPONENT"

# Seconds for the family to end: Ray ends a job's driver after the job's supervisor, which it checks each second.
ORPHANS_GRACE_S = 3.0
# Seconds to wait after SIGKILL.
KILL_S = 10.0


@dataclass(frozen=True)
class ProcessRecord:
    """The content of a pid file.

    Attributes:
        pid: The process, which leads a session of its own; None just before it is started.
        birth: See `birth`.
        mark: The value of `MARK` in its environment and, by inheritance, in its children's.
        settings: A digest of the settings that it was started with.
    """

    pid: Annotated[int, Field(strict=True, gt=0, lt=2**31)] | None
    birth: str
    mark: str
    settings: str

    def is_alive(self) -> bool:
        """Return whether this process still runs; a later process with the same pid does not count."""
        return self.pid is not None and birth(self.pid) == self.birth

    def family(self) -> list[psutil.Process]:
        """Return the process and the members of its family that still run."""
        if not _same_boot(self.birth):
            return []
        members = {process.pid: process for process in self._tree()}
        for process in psutil.process_iter():
            if process.pid not in members and (self._is_session_of(process) or _mark(process) == self.mark):
                members[process.pid] = process
        return [process for process in members.values() if process.pid != os.getpid() and _runs(process)]

    def _tree(self) -> list[psutil.Process]:
        """Return the process and its descendants; nothing once it has ended."""
        try:
            if not self.is_alive():
                return []
            leader = psutil.Process(self.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _is_session_of(self, process: psutil.Process) -> bool:
        """Return whether `process` is in the session that this process opened; a session outlives its leader."""
        if self.pid is None or birth(self.pid) not in (None, self.birth):
            return False
        try:
            return os.getsid(process.pid) == self.pid
        except OSError:
            return False

    def stop(self, grace_s: float) -> None:
        """Ask the process to end, then the rest of its family, and kill the processes that still run.

        Args:
            grace_s: Seconds that the process may take to end; its family gets `ORPHANS_GRACE_S` after that.

        Raises:
            TimeoutError: A process outlived SIGKILL, because it is stuck in the kernel.
        """
        family = self.family()  # before the process ends: orphans leave the tree of its descendants
        leaders = [process for process in family if process.pid == self.pid and self.is_alive()]
        _end(leaders, signal.SIGTERM, grace_s)
        _end(family, signal.SIGTERM, ORPHANS_GRACE_S)
        left = _end([*family, *self.family()], signal.SIGKILL, KILL_S)
        if left:
            raise TimeoutError(f"these processes cannot be ended: {', '.join(str(process.pid) for process in left)}")


_RECORD = TypeAdapter(ProcessRecord)


@dataclass(frozen=True)
class PidFile:
    """A file that names one process."""

    path: Path

    def read(self) -> ProcessRecord | None:
        """Return the named process, even if it has ended; None if the file is missing or cannot be read."""
        try:
            return _RECORD.validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def is_damaged(self) -> bool:
        """Return whether the file exists and cannot be read, for example because the disk was full."""
        return self.path.exists() and self.read() is None

    def write(self, record: ProcessRecord) -> None:
        """Write `record` in one step, so that no reader sees half of it."""
        write_atomic(self.path, _RECORD.dump_json(record, indent=1))

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


@dataclass
class StartedProcess:
    """A process that was just started: its record, and its exit status once it has ended."""

    record: ProcessRecord
    popen: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, pid_file: PidFile, settings: str
    ) -> Self:
        """Start `command` in a session of its own, with its output in `log`, and write its pid file."""
        mark = uuid.uuid4().hex
        # Write the mark first: if this process is killed in the next moment, the mark still identifies the child.
        pid_file.write(ProcessRecord(None, f"{_boot()}:", mark, settings))
        with log.open("ab") as output:  # appending, since its log may be emptied while it runs (see `log_files`)
            popen = subprocess.Popen(
                command,
                env={**env, MARK: mark, COMPONENT: pid_file.path.stem},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal must not reach it
            )
        record = ProcessRecord(popen.pid, birth(popen.pid) or "", mark, settings)
        pid_file.write(record)
        return cls(record, popen)

    def exit_status(self) -> int | None:
        """Return the exit status, negative for a signal; None while the process runs."""
        return self.popen.poll()


def _end(processes: list[psutil.Process], signum: int, patience_s: float) -> list[psutil.Process]:
    """Send a signal to the processes; return the ones that still run after at most `patience_s` seconds."""
    left = [process for process in processes if _runs(process)]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signum)  # psutil checks that the pid still is the same process
    deadline = time.monotonic() + patience_s
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if _runs(process)]
    return left


def birth(pid: int) -> str | None:
    """Return a text that no other process with this pid ever had; None if no such process runs.

    On Linux it is the id of the boot and the start in clock ticks, since wall-clock times move when the clock is set.
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


def dead_record(settings: str) -> ProcessRecord:
    """Return the record of a process of this boot that does not run."""
    return ProcessRecord(None, f"{_boot()}:", "", settings)


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
