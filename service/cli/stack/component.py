"""The components of the stack: for each its command, its ports, its health check and its time limits."""

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from service.cli.stack import probe
from service.cli.stack.ports import Port
from service.cli.stack.process import PidFile
from service.settings import Settings

# Trials exchange numbers, not tensors. Ray's default is a third of the machine's memory, which trials need.
OBJECT_STORE_BYTES = 256 * 1024**2
# If this variable is 0, Ray uses 127.0.0.1 as this machine's address, and all of its servers listen only there.
# Otherwise they listen on every address, and a few bytes to the head's port end the head, without a token. The name is
# historical: 0 is the default on Windows and macOS, and works on Linux too.
RAY_OPEN = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# Ray has as many idle processes ready as there are CPUs, so that trials start at once. With the modules of a trial each
# takes 200 MB. Up to this number of CPUs, they are loaded ahead.
MAX_PRELOADED = 16


@dataclass(frozen=True)
class Component:
    """One part of the stack.

    Attributes:
        name: The name in `tet status`.
        url: The address for people.
        command: The command that starts it on this machine; None if it runs elsewhere, by the settings.
        ports: The ports that it listens on.
        check: A function that raises probe.Unhealthy unless the component works.
        home: The stack's folder.
        start_s: Seconds until it must answer, also on a slow and busy machine.
        stop_s: Seconds that it may take to end after SIGTERM.
        scratch: A temporary folder, which is removed once the component has ended.
    """

    name: str
    url: str
    command: tuple[str, ...] | None
    ports: tuple[Port, ...]
    check: Callable[[Settings], None]
    home: Path
    start_s: float = 120
    stop_s: float = 10
    scratch: Path | None = None

    @property
    def pid_file(self) -> PidFile:
        """The file that names its process."""
        return PidFile(self.home / "run" / f"{self.name}.json")

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.home / "logs" / f"{self.name}.log"

    def trouble(self, settings: Settings) -> str | None:
        """Return why it does not work; None if it does."""
        try:
            self.check(settings)
        except probe.Unhealthy as reason:
            return str(reason)
        return None


def components(settings: Settings) -> tuple[Component, ...]:
    """Return the stack's components, in the order in which they are started."""
    return (_ray(settings), _mlflow(settings), _api(settings))


def ray_scratch(settings: Settings) -> Path:
    """Return the folder that holds Ray's own folder, in which Ray has its sockets and logs.

    Ray opens its own folder to everybody (mode 777). So it is inside this folder, which only its user may enter. This
    folder is not under `home`: a socket's path has at most 107 bytes, and Ray needs up to 68 of them in its folder, for
    `/session_2026-11-30_20-22-23_123456_4194304/sockets/dash_MetricsHead`.
    """
    return Path("/tmp") / f"tet-{hashlib.sha256(str(settings.home).encode(errors='surrogateescape')).hexdigest()[:8]}"


def component_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of every component: that of this process, with all settings and Ray's token."""
    env = {name: value for name, value in os.environ.items() if name not in ("RAY_AUTH_TOKEN", "RAY_ADDRESS")}
    env |= settings.environment() | settings.ray_environment()
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    for name in ("no_proxy", "NO_PROXY"):  # components talk to each other on loopback
        env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1", "localhost"]))
    if (settings.num_cpus or os.cpu_count() or 1) <= MAX_PRELOADED:
        env.setdefault("RAY_preload_python_modules", "service.runner.trial.preloaded")
    return env | {
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",  # times in the logs of Ray and MLflow too
        "RAY_USAGE_STATS_ENABLED": "0",
        RAY_OPEN: os.environ.get(RAY_OPEN, "0"),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # the only node need not be drained; 15 s otherwise
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a queue for judging language models, of five processes
    }


def _ray(settings: Settings) -> Component:
    options = {
        "port": settings.ray_gcs_port,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": settings.ray_dashboard_port,
        "ray-client-server-port": settings.ray_client_port,
        "dashboard-agent-listen-port": settings.ray_agent_port,
        # 0 is any free port. Ray's own range, 10002-19999, would collide with that of a second stack.
        "min-worker-port": 0,
        "max-worker-port": 0,
        "temp-dir": ray_scratch(settings) / "ray",
        "object-store-memory": OBJECT_STORE_BYTES,
        "log-color": "false",
    }
    options |= {} if settings.num_cpus is None else {"num-cpus": settings.num_cpus}
    options |= {} if settings.num_gpus is None else {"num-gpus": settings.num_gpus}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    local = settings.ray_url == f"http://127.0.0.1:{settings.ray_dashboard_port}"
    return Component(
        name="ray",
        url=settings.ray_public_url,
        command=(_script("ray"), "start", "--head", "--block", *arguments) if local else None,
        ports=(
            Port(settings.ray_gcs_port, "TET_RAY_GCS_PORT", "0.0.0.0"),
            Port(settings.ray_dashboard_port, "TET_RAY_DASHBOARD_PORT"),
            Port(settings.ray_client_port, "TET_RAY_CLIENT_PORT", "0.0.0.0"),
            Port(settings.ray_agent_port, "TET_RAY_AGENT_PORT", "0.0.0.0"),
        ),
        check=probe.ray,
        home=settings.home,
        scratch=ray_scratch(settings),
    )


def _mlflow(settings: Settings) -> Component:
    hosts = ["localhost:*", "127.0.0.1:*", urlsplit(settings.mlflow_public_url).netloc.rpartition("@")[2]]
    local = settings.mlflow_url == f"http://127.0.0.1:{settings.mlflow_port}"
    command = (
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={settings.mlflow_port}",
        f"--backend-store-uri=sqlite:///{settings.home / 'mlflow.db'}",
        f"--artifacts-destination={settings.home / 'mlartifacts'}",
        "--workers=1",  # 250 MB each; one serves tens of batches a second
        f"--allowed-hosts={','.join(dict.fromkeys(hosts))}",
    )
    return Component(
        name="mlflow",
        url=settings.mlflow_public_url,
        command=command if local else None,
        ports=(Port(settings.mlflow_port, "TET_MLFLOW_PORT"),),
        check=probe.mlflow,
        home=settings.home,
    )


def _api(settings: Settings) -> Component:
    return Component(
        name="api",
        url=settings.api_url,
        command=(sys.executable, "-m", "service.api"),
        ports=(Port(settings.api_port, "TET_API_PORT", settings.api_host),),
        check=probe.api,
        home=settings.home,
    )


def _script(name: str) -> str:
    """Return the path of a console script of this environment."""
    return str(Path(sys.executable).parent / name)
