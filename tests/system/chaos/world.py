"""The targets of faults: a stack under `tet up`, two Ray worker nodes, PostgreSQL, and a storage that can be filled."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.cli.stack.component import RAY_OPEN
from service.cli.stack.process import PidFile
from service.storage import ExperimentFolder
from tests.local_stack import Json, LocalStack, local_stack, trial_processes
from tests.postgres import Server
from tests.system.chaos.kept import Kept
from tests.system.chaos.nodes import Node

NUM_NODES = 2
# The time, in s, for which a dead process stays dead: long enough for the other processes to notice.
DEAD_S = 2.0
# The size of the storage, which is in memory: small enough to be filled quickly.
STORAGE_BYTES = 400 * 1024**2
MIN_FREE_BYTES = 40 * 1024**2
SETTINGS = {
    "TET_NUM_CPUS": "0",  # trials run on the worker nodes
    "TET_MIN_FREE_BYTES": str(MIN_FREE_BYTES),
    # Components are killed far more often here than the default limits of restarts allow.
    "TET_RESTART_LIMIT": "1000",
    "TET_RESTART_WINDOW_S": "20",
}
# Constants of Linux's headers.
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2


@dataclass
class Postgres:
    """The database server, which is started again after a kill."""

    server: Server
    name: str = "postgres"

    def start(self) -> None:
        """Start the server again with its data."""
        self.server.begin()

    def is_alive(self) -> bool:
        """Return whether the server's first process runs."""
        return self.server.leader() is not None


@dataclass
class World:
    """The stack with its nodes, and their processes by role."""

    stack: LocalStack
    postgres: Server
    nodes: list[Node]
    filler: Path

    def component(self, name: str) -> list[psutil.Process]:
        """Return the processes of a component of the stack, or of its supervisor; the first one is the leader."""
        record = PidFile(self.stack.settings.home / "run" / f"{name}.json").read()
        return [] if record is None else record.family()

    def drivers(self) -> list[psutil.Process]:
        """Return the drivers of experiments, without the shells in which Ray starts them."""
        return [process for process in self.processes() if "service.runner.driver" in _command(process)[1:4]]

    def trials(self) -> list[psutil.Process]:
        """Return the processes of trials."""
        return [process for process, _ in trial_processes(self.stack.settings.home)]

    def processes(self) -> list[psutil.Process]:
        """Return every process of this stack and its nodes: their environments name the stack's home."""
        home = str(self.stack.settings.home)
        processes = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("TET_HOME") == home
                if ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    processes.append(process)
            except (psutil.Error, OSError):
                continue
        return processes

    def folder(self, experiment_id: str) -> ExperimentFolder:
        """Return the folder of an experiment."""
        return ExperimentFolder(self.stack.settings.storage, experiment_id)

    def num_committed(self, experiment_id: str) -> int:
        """Return how many epochs and rows are committed, from the storage, which no fault takes away."""
        return sum(1 for _ in self.folder(experiment_id).path.glob("chains/*/*/commits/*.json"))

    def look(self, experiment_id: str) -> Json | None:
        """Return the API's view of an experiment; None while the API or its database is down."""
        with self.stack.http as http:
            try:
                answer = http.get(f"/experiments/{experiment_id}")
            except Exception:  # the API may be killed at any moment
                return None
            return answer.json() if answer.status_code == 200 else None


@contextmanager
def world(folder: Path, say: Callable[[str], None]) -> Iterator[World]:
    """Start the stack, its nodes and PostgreSQL, yield them, and stop and remove them at the end of the context."""
    storage = folder / "storage"
    storage.mkdir()
    _mount_small(storage)
    server = Server.start(durable=True)
    try:
        with local_stack(folder / "home", **_settings(server.create("tet"), storage)) as stack:
            nodes = [Node(f"node-{i}", stack, 1, folder) for i in range(NUM_NODES)]
            for node in nodes:
                node.start()
            kept = Kept([*nodes, Postgres(server)], DEAD_S, say)
            try:
                yield World(stack, server, nodes, storage / "filler")
            finally:
                kept.stop()
                for node in nodes:
                    node.end()
                if server.leader() is None:
                    server.begin()
    finally:
        server.stop()
        _call("umount2", str(storage).encode(), MNT_DETACH)


def _settings(url: str, storage: Path) -> dict[str, str]:
    opened = {RAY_OPEN: "1"}  # the worker nodes join the head at this machine's outer address
    return {**SETTINGS, **opened, "TET_DATABASE_URL": url.replace("+psycopg", ""), "TET_STORAGE": str(storage)}


def enter_own_mounts() -> None:
    """Let this process and its children mount file systems of their own, also as an ordinary user.

    Call it before any thread is started.
    """
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", CLONE_NEWNS | (CLONE_NEWUSER if uid else 0))
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{name}").write_text(text)
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def _mount_small(folder: Path) -> None:
    _call("mount", b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={STORAGE_BYTES},mode=777".encode())


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}: this machine lets no process mount file systems")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
