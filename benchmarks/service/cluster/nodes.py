"""A Ray cluster of several nodes on this machine: real raylets, with resources that are only counted.

Each node is a separate `ray start`, as on a separate machine, with its own raylet, agents and object store.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.ports import free_ports

ROOT = Path(__file__).parents[3]
# Size of a node's object store, near Ray's minimum of 75 MB: nothing measured here uses the object store.
OBJECT_STORE_BYTES = 80_000_000
START_S = 180.0
UP = "Ray runtime started"
# Seconds that a node's processes have to exit after SIGTERM.
STOP_S = 10.0


@dataclass(frozen=True)
class Cluster:
    """A running cluster: a folder to write into, environment variables to reach the cluster, and its number of GPUs."""

    folder: Path
    environment: Mapping[str, str]
    num_gpus: int


@contextmanager
def cluster(num_nodes: int, gpus_per_node: int) -> Iterator[Cluster]:
    """Run a head without resources and `num_nodes` workers within this context."""
    # The path must be short: a socket's path may have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tb", dir="/tmp", ignore_cleanup_errors=True) as path, ExitStack() as stack:
        folder = Path(path)
        environment = _environment(folder)
        gcs, client, *agents = free_ports(3 + num_nodes)
        environment["RAY_ADDRESS"] = address = f"127.0.0.1:{gcs}"
        head = ["--head", f"--port={gcs}", f"--ray-client-server-port={client}", "--include-dashboard=false"]
        head += [f"--temp-dir={folder}/ray", "--num-cpus=0", "--num-gpus=0"]
        workers = [f"--address={address}", f"--num-gpus={gpus_per_node}", f"--num-cpus={gpus_per_node}"]
        # One after the other: on a machine with fewer cores than nodes, a joint start would exceed Ray's timeouts.
        for number, agent in enumerate(agents):
            options = [*(workers if number else head), f"--dashboard-agent-listen-port={agent}"]
            stack.enter_context(_node(folder, environment, number, options))
        _await_nodes(environment, 1 + num_nodes)
        yield Cluster(folder, environment, num_nodes * gpus_per_node)


def _environment(folder: Path) -> dict[str, str]:
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "TET_"))}
    return inherited | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def _node(folder: Path, environment: Mapping[str, str], number: int, options: list[str]) -> Iterator[None]:
    """Run one node within this context."""
    ray = Path(sys.executable).parent / "ray"
    shared = ["--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0", "--log-color=false"]
    command = [str(ray), "start", "--block", *shared, f"--object-store-memory={OBJECT_STORE_BYTES}", *options]
    log = folder / f"node-{number}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_S
        while UP not in (text := log.read_text(errors="replace")):
            assert process.poll() is None, f"node {number} ended at once: {text[-2000:]}"
            assert time.monotonic() < deadline, f"node {number} did not start: {text[-2000:]}"
            time.sleep(0.2)
        yield
    finally:
        _end(process)


def _await_nodes(environment: Mapping[str, str], count: int) -> None:
    """Wait until `count` nodes are alive."""
    ask = (
        "import ray, time; ray.init(log_to_driver=False, logging_level='ERROR')\n"
        f"while sum(node['Alive'] for node in ray.nodes()) < {count}: time.sleep(0.5)"
    )
    subprocess.run([sys.executable, "-c", ask], env=dict(environment), check=True, timeout=START_S)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a node and the processes that it started."""
    if process.poll() is not None:
        return
    members = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    for each in psutil.wait_procs(members, timeout=STOP_S)[1]:
        each.kill()
    process.kill()
    process.wait()
