"""Ray worker nodes on this machine: each is a raylet with its own ports, joined to the stack's head."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.local_stack import LocalStack
from tests.ports import free_ports

OBJECT_STORE_BYTES = 80 * 1024**2
STOP_S = 10.0


@dataclass
class Node:
    """One worker node: `ray start --block`, the raylet and its workers. They die together, like a machine."""

    name: str
    stack: LocalStack
    num_cpus: int
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Join the head. Without a head the process ends, and the thread that keeps the node tries again."""
        self.end()
        agent, agent_grpc, runtime_env, metrics = free_ports(4)
        settings = self.stack.settings
        command = [
            str(Path(sys.executable).parent / "ray"),
            "start",
            "--block",
            "--log-color=false",
            f"--address=127.0.0.1:{settings.ray_gcs_port}",
            f"--num-cpus={self.num_cpus}",
            "--num-gpus=0",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            f"--dashboard-agent-listen-port={agent}",
            f"--dashboard-agent-grpc-port={agent_grpc}",
            f"--runtime-env-agent-port={runtime_env}",
            f"--metrics-export-port={metrics}",
        ]
        environment = {**self.stack.environment, **settings.ray_environment(), "RAY_USAGE_STATS_ENABLED": "0"}
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def is_alive(self) -> bool:
        """Return whether its `ray start` runs, which ends when one of its processes does."""
        return self._process is not None and self._process.poll() is None

    def raylets(self) -> list[psutil.Process]:
        """Return its raylet, once there is one."""
        return [process for process in self.processes() if process.name() == "raylet"]

    def processes(self) -> list[psutil.Process]:
        """Return all of its processes that run: the members of its session."""
        if self._process is None:
            return []
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (OSError, psutil.NoSuchProcess):
                continue
        return found

    def end(self) -> None:
        """Kill all of its processes."""
        left = self.processes()
        for process in left:
            process.kill()
        psutil.wait_procs(left, STOP_S)
        if self._process is not None:
            self._process.wait(STOP_S)
