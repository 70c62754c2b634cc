"""A Ray cluster of several nodes on this machine, and the processes of trials on it."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

from tests.local_stack import TITLE

NUM_NODES = 4
OBJECT_STORE_BYTES = 80 * 1024**2
# The longest wait, in s, for a condition; long enough for a busy machine.
WAIT_S = 600.0
# The longest time, in s, for something that must happen at once; long enough for a busy machine.
AT_ONCE_S = 60.0
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}


class Nodes:
    """Nodes of one CPU each, so that every worker of a trial is on its own node, and a head without CPUs."""

    def __init__(self) -> None:
        self._cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self._nodes = [self._add() for _ in range(NUM_NODES)]
        os.environ["RAY_ADDRESS"] = self._cluster.address

    def add_one(self) -> None:
        """Start a node. Call this in the main thread, because Ray sets a signal handler."""
        self._nodes.append(self._add())

    def lose_one(self) -> None:
        """End a node that runs a worker."""
        lost = next(node for node in self._nodes if any(_is_worker(each) for each in _below(_raylet(node))))
        self._cluster.remove_node(lost, allow_graceful=False)
        self._nodes.remove(lost)

    def await_free_cpus(self) -> float:
        """Wait until all CPUs are free and no worker is left; return how long that took, in s."""
        ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
        start = time.monotonic()
        until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources().get("CPU") and not workers())
        elapsed_s = time.monotonic() - start
        ray.shutdown()
        return elapsed_s

    def end(self) -> None:
        self._cluster.shutdown()

    def _add(self) -> Any:
        return self._cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)


@contextmanager
def nodes() -> Iterator[tuple[Nodes, Path]]:
    """Start a cluster, yield it and the path of a folder for storage, and stop it at the end of the context."""
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as home:
        os.environ["RAY_TMPDIR"] = home
        cluster = Nodes()
        try:
            yield cluster, Path(home) / "storage"
        finally:
            cluster.end()


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds, and return its value."""
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.02)
    return value


def workers() -> list[psutil.Process]:
    """Return the workers of all trials, except their first workers."""
    return [process for process in _below(psutil.Process()) if _is_worker(process)]


def first_worker() -> psutil.Process:
    """Return the process of a trial, which is its first worker."""
    return next(process for process in _below(psutil.Process()) if TITLE.fullmatch(_title(process)))


def _is_worker(process: psutil.Process) -> bool:
    return _title(process).startswith("ray::Worker")


def _title(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline()).rstrip()
    except psutil.Error:
        return ""


def _below(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


def _raylet(node: Any) -> psutil.Process:
    return psutil.Process(node.all_processes["raylet"][0].process.pid)
