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
# The longest wait, in s, for the end of killed processes.
STOP_S = 10.0


@dataclass
class Node:
    """One worker node: `ray start --block`, its raylet and its workers."""

    name: str
    stack: LocalStack
    num_cpus: int
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Join the head. If there is no head, the process exits, and the thread that keeps the node starts it again."""
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
        """Return whether the node's `ray start` runs. It exits when one of the node's processes does."""
        return self._process is not None and self._process.poll() is None

    def raylets(self) -> list[psutil.Process]:
        """Return the node's raylet, if it runs."""
        return [process for process in self.processes() if process.name() == "raylet"]

    def processes(self) -> list[psutil.Process]:
        """Return the node's running processes, which are all in one session."""
        if self._process is None:
            return []
        processes = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    processes.append(process)
            except (OSError, psutil.NoSuchProcess):
                continue
        return processes

    def end(self) -> None:
        """Kill all processes of the node."""
        running = self.processes()
        for process in running:
            process.kill()
        psutil.wait_procs(running, STOP_S)
        if self._process is not None:
            self._process.wait(STOP_S)
