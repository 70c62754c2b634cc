"""The faults: functions that take the world and the running experiment, strike, and return a message."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

import psutil

from service.control.driver_job import ENVIRONMENT
from tests.system.chaos.world import World

# The time, in s, for which a fault waits for its target, which may just be starting.
PRESENT_S = 60.0
# The time, in s, for which processes are frozen.
FROZEN_S = 60.0
# The time, in s, for which the disk is full.
FULL_S = 20.0
# The time, in s, between two checks while a fault waits for something.
POLL_S = 0.1

Fault = Callable[[World, str, random.Random], str]


class NothingToStrike(Exception):  # noqa: N818 - not an error of the service
    """The absence of a fault's target, for example because the experiment has ended."""


def _api(world: World, experiment_id: str, draw: random.Random) -> str:
    return _kill("api", _present(world, experiment_id, lambda: world.component("api")))


def _driver(world: World, experiment_id: str, draw: random.Random) -> str:
    return _kill("driver", _present(world, experiment_id, world.drivers)[:1])


def _trial(world: World, experiment_id: str, draw: random.Random) -> str:
    trials = _present(world, experiment_id, world.trials)
    return _kill("trial", [draw.choice(trials)])


def _node(world: World, experiment_id: str, draw: random.Random) -> str:
    """Kill a worker node: only its raylet, or all of its processes at once, as when a machine loses power."""
    living = _present(world, experiment_id, lambda: [raylet for node in world.nodes for raylet in node.raylets()])
    raylet = draw.choice(living)
    node = next(node for node in world.nodes if raylet in node.raylets())
    return _kill(node.name, node.processes() if draw.random() < 0.5 else [raylet])


def _head(world: World, experiment_id: str, draw: random.Random) -> str:
    """Kill the head: only its GCS, or all of its processes and the driver that runs on it."""
    family = _present(world, experiment_id, lambda: world.component("ray"))
    servers = [process for process in family if process.name() == "gcs_server"]
    return _kill("head", servers if servers and draw.random() < 0.5 else family)


def _mlflow(world: World, experiment_id: str, draw: random.Random) -> str:
    return _kill("mlflow", _present(world, experiment_id, lambda: world.component("mlflow")))


def _postgres(world: World, experiment_id: str, draw: random.Random) -> str:
    def family() -> list[psutil.Process]:
        leader = world.postgres.leader()
        return [] if leader is None else [leader, *leader.children()]

    return _kill("postgres", _present(world, experiment_id, family))


def _supervisor(world: World, experiment_id: str, draw: random.Random) -> str:
    """Kill the supervisor, and run a `tet` command, which starts it again, a few seconds later."""
    message = _kill("supervisor", _present(world, experiment_id, lambda: world.component("supervisor"))[:1])
    time.sleep(draw.uniform(0, 5))
    status = subprocess.run(
        [sys.executable, "-m", "service.cli.main", "status"],
        env=world.stack.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    restart = "a new one was started" if "another one was started" in status.stderr else "it ran already"
    return f"{message}; `tet status`: {restart}"


def _mlflow_frozen(world: World, experiment_id: str, draw: random.Random) -> str:
    before = world.num_committed(experiment_id)
    message = _freeze("mlflow", _present(world, experiment_id, lambda: world.component("mlflow")))
    return f"{message}; {world.num_committed(experiment_id) - before} epochs were committed in that time"


def _ray_unreachable(world: World, experiment_id: str, draw: random.Random) -> str:
    """Freeze the dashboard, which serves the Jobs API: the service cannot see its drivers."""

    def dashboard() -> list[psutil.Process]:
        return [
            process for process in world.component("ray") if "dashboard/dashboard.py" in " ".join(process.cmdline())
        ]

    message = _freeze("Ray's dashboard", _present(world, experiment_id, dashboard))
    view = world.look(experiment_id)
    shown = "the API does not answer" if view is None else f"{view['state']}, {view['reason'][:60]}"
    return f"{message}; the experiment: {shown}"


def _disk_full(world: World, experiment_id: str, draw: random.Random) -> str:
    _present(world, experiment_id, world.drivers)
    reasons = set()
    with world.filler.open("wb") as file:
        try:
            while file.write(bytes(1 << 20)):
                file.flush()
        except OSError as error:
            message = f"{file.tell() >> 20} MB written until {error.strerror}"
    until = time.monotonic() + FULL_S
    while time.monotonic() < until:
        view = world.look(experiment_id)
        if view is not None:
            reasons.add((view["state"], view["reason"].partition(":")[0]))
        time.sleep(POLL_S)
    world.filler.unlink()
    shown = sorted(state for state, reason in reasons if "storage" in reason or "service cannot continue" in reason)
    assert shown, f"the storage was full, and no reason says so: {sorted(reasons)}"
    return f"{message}; shown as {', '.join(shown)}; free again after {FULL_S:.0f} s"


def _two_drivers(world: World, experiment_id: str, draw: random.Random) -> str:
    """Start a second driver while the first one runs, like a job that was started twice."""
    _present(world, experiment_id, world.drivers)
    number = world.folder(experiment_id).driver_numbers()[-1] + 1
    settings = world.stack.settings
    command = [
        sys.executable,
        "-m",
        "service.runner.driver",
        "--experiment",
        experiment_id,
        "--attempt",
        str(number),
        "--storage",
        str(settings.storage),
        "--mlflow-url",
        settings.mlflow_url,
        "--stop-window",
        str(settings.stop_window_s),
        "--tracking-patience",
        str(settings.tracking_patience_s),
    ]
    environment = {
        **world.stack.environment,
        **settings.ray_environment(),
        **ENVIRONMENT,
        "RAY_ADDRESS": f"127.0.0.1:{settings.ray_gcs_port}",
    }
    with (settings.home / "second-driver.log").open("ab") as log:
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True).returncode = 0
    return f"driver {number} started while driver {number - 1} runs"


def _zombie(world: World, experiment_id: str, draw: random.Random) -> str:
    """Freeze a trial and kill its node, let its stage continue on another node, and wake the trial up."""
    trial = draw.choice(_present(world, experiment_id, world.trials))
    node = next((node for node in world.nodes if trial in node.processes()), None)
    if node is None:
        raise NothingToStrike("the trial's node is gone")
    trial.send_signal(signal.SIGSTOP)
    others = [process for process in node.processes() if process != trial]
    message = _kill(node.name, others)
    before = world.num_committed(experiment_id)
    until = time.monotonic() + PRESENT_S
    while world.num_committed(experiment_id) < before + 2 and time.monotonic() < until:
        time.sleep(POLL_S)
    committed = world.num_committed(experiment_id) - before
    try:
        trial.send_signal(signal.SIGCONT)
    except psutil.NoSuchProcess:
        return f"trial {trial.pid} frozen, {message}; the trial was gone before it woke up"
    return f"trial {trial.pid} frozen, {message}; woken up after {committed} epochs of other trials"


KILLS: dict[str, Fault] = {
    "api": _api,
    "driver": _driver,
    "trial": _trial,
    "node": _node,
    "head": _head,
    "mlflow": _mlflow,
    "postgres": _postgres,
    "supervisor": _supervisor,
}
SPECIALS: dict[str, Fault] = {
    "mlflow frozen": _mlflow_frozen,
    "disk full": _disk_full,
    "two drivers": _two_drivers,
    "zombie": _zombie,
    "ray unreachable": _ray_unreachable,
}
FAULTS = KILLS | SPECIALS


def _present(world: World, experiment_id: str, find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """Wait for a target, and return its processes."""
    until = time.monotonic() + PRESENT_S
    while time.monotonic() < until:
        try:
            if processes := find():
                return processes
        except psutil.NoSuchProcess:
            continue
        time.sleep(POLL_S)
    raise NothingToStrike(f"no target within {PRESENT_S:.0f} s")


def _kill(name: str, processes: Iterable[psutil.Process]) -> str:
    killed = []
    for process in processes:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:  # a signal to a zombie has no effect
                continue
            process.kill()
            killed.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    if not killed:
        raise NothingToStrike(f"{name} died by itself")
    return f"SIGKILL {name} {killed[0]}" + (f" and {len(killed) - 1} more" if killed[1:] else "")


def _freeze(name: str, processes: list[psutil.Process]) -> str:
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(FROZEN_S)
    finally:
        for process in processes:
            if process.is_running():
                os.kill(process.pid, signal.SIGCONT)
    return f"{name} frozen for {FROZEN_S:.0f} s"
