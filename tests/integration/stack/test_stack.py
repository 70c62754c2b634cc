"""Tests of `tet up`, `status` and `down` with a real Ray, a real MLflow and the API."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from service.cli.stack.component import ray_scratch
from service.cli.stack.ports import Port
from service.cli.stack.process import ProcessRecord
from tests.integration.stack.conftest import Stack

# These tests run many commands, each of which may take minutes on a busy machine.
pytestmark = [pytest.mark.stack, pytest.mark.timeout(2_400)]

# Seconds to wait for a state.
WITHIN_S = 240


def components(stack: Stack) -> dict[str, Any]:
    return {each["name"]: each for each in status(stack)["components"]}


def status(stack: Stack) -> Any:
    return json.loads(stack.tet("status", "--json").stdout)


def restarted(stack: Stack, name: str) -> Any:
    """Wait until the supervisor has restarted a component and the component is healthy; return its status."""
    return awaited(lambda: components(stack)[name], lambda found: found["restarts"] and found["healthy"])


def awaited(look: Callable[[], Any], holds: Callable[[Any], Any]) -> Any:
    """Repeat `look` until `holds` accepts its result; return that result."""
    deadline = time.monotonic() + WITHIN_S
    while not holds(found := look()):
        assert time.monotonic() < deadline, found
    return found


def assert_nothing_is_left(stack: Stack, records: dict[str, ProcessRecord]) -> None:
    assert {name: record.family() for name, record in records.items() if record.family()} == {}
    assert stack.records() == {}
    assert not ray_scratch(stack.settings).exists()
    assert [port for port in stack.ports() if not Port(port, "").is_free()] == []


def test_up_starts_a_stack_its_supervisor_repairs_it_and_down_ends_it(stack: Stack) -> None:
    up = stack.tet("up")
    assert up.returncode == 0, up.stderr
    assert all(url in up.stdout for url in (stack.settings.api_url, stack.settings.mlflow_url, stack.settings.ray_url))
    first = stack.records()
    check_all_is_healthy(stack, first)
    check_strangers_are_refused(stack)
    check_nobody_else_reaches_it(stack, first)
    check_other_settings_are_refused(stack)
    check_a_dead_component_is_restarted(stack, first)
    check_a_dead_supervisor_does_no_harm_and_is_replaced(stack)
    check_lost_pid_files_are_written_again(stack, stack.records())
    check_a_second_up_starts_nothing(stack, stack.records())

    last = stack.records()
    os.kill(last["ray"].pid or 0, signal.SIGKILL)  # Ray's head, so that its child processes lose their parent
    down = stack.tet("down")
    assert down.returncode == 0, down.stderr
    assert_nothing_is_left(stack, {**last, "first mlflow": first["mlflow"]})
    assert stack.tet("status").returncode == 1
    again = stack.tet("down")
    assert (again.returncode, again.stderr.strip()) == (0, "nothing is up")


def check_all_is_healthy(stack: Stack, records: dict[str, ProcessRecord]) -> None:
    awaited(lambda: stack.tet("status"), lambda shown: shown.returncode == 0)
    found = awaited(lambda: status(stack), is_healthy)
    assert found["supervisor"]["pid"] == records["supervisor"].pid
    assert {each["name"]: each["pid"] for each in found["components"]} == {
        name: records[name].pid for name in ("api", "mlflow", "ray")
    }
    home = stack.settings.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE(stack.settings.ray_token_file.stat().st_mode) == 0o600


def is_healthy(answer: Any) -> bool:
    return all(each["healthy"] for each in (answer["supervisor"], *answer["components"]))


def check_strangers_are_refused(stack: Stack) -> None:
    assert httpx.get(f"{stack.settings.ray_url}/api/jobs/", trust_env=False).status_code == 401
    search = f"{stack.settings.mlflow_url}/api/2.0/mlflow/experiments/search"
    stranger = httpx.post(search, json={"max_results": 1}, headers={"Host": "evil.example"}, trust_env=False)
    assert stranger.status_code == 403


def check_nobody_else_reaches_it(stack: Stack, records: dict[str, ProcessRecord]) -> None:
    own = {process.pid for record in records.values() for process in record.family()}
    listening = [
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.pid in own and connection.status == psutil.CONN_LISTEN and connection.laddr
    ]
    assert listening
    assert [ip for ip in listening if ip.removeprefix("::ffff:") != "127.0.0.1"] == []
    assert status(stack)["warnings"] == []
    assert stat.S_IMODE(ray_scratch(stack.settings).stat().st_mode) == 0o700


def check_lost_pid_files_are_written_again(stack: Stack, records: dict[str, ProcessRecord]) -> None:
    folder = stack.settings.home / "run"
    (folder / "api.json").write_text('{"pid":')
    (folder / "supervisor.json").write_text("")
    for name in ("mlflow", "ray"):
        (folder / f"{name}.json").unlink()
    shown = stack.tet("status")
    assert shown.returncode == 0, shown.stdout
    assert f"mlflow still runs (process {records['mlflow'].pid}): the file was written again" in shown.stderr
    assert stack.records() == records


def check_a_second_up_starts_nothing(stack: Stack, records: dict[str, ProcessRecord]) -> None:
    again = stack.tet("up", "--no-supervise")
    assert again.returncode == 0
    assert stack.records() == {name: record for name, record in records.items() if name != "supervisor"}
    assert status(stack)["supervisor"] == {"pid": None, "healthy": False}


def check_other_settings_are_refused(stack: Stack) -> None:
    other = stack.tet("up", TET_MAX_RUNNING="2")
    assert other.returncode == 1
    assert "is up with other settings" in other.stderr
    assert "`tet down` first" in other.stderr


def check_a_dead_component_is_restarted(stack: Stack, before: dict[str, ProcessRecord]) -> None:
    os.kill(before["mlflow"].pid or 0, signal.SIGKILL)
    found = restarted(stack, "mlflow")
    assert (found["restarts"], found["last_restart"]["reason"], found["given_up"]) == (1, "it died", False)
    after = stack.records()
    assert after["mlflow"].pid != before["mlflow"].pid
    assert {**after, "mlflow": before["mlflow"]} == before
    shown = stack.tet("status").stdout
    assert "it died" in shown
    assert f"supervisor process {after['supervisor'].pid}" in shown


def check_a_dead_supervisor_does_no_harm_and_is_replaced(stack: Stack) -> None:
    before = stack.records()
    supervisor = psutil.Process(before["supervisor"].pid or 0)
    supervisor.kill()
    supervisor.wait(10)
    assert {name: record.is_alive() for name, record in before.items()} == {
        "api": True,
        "mlflow": True,
        "ray": True,
        "supervisor": False,
    }
    os.kill(before["api"].pid or 0, signal.SIGKILL)  # without a supervisor nobody restarts it
    listed = stack.tet("status")
    assert "the stack had lost its supervisor, so another one was started" in listed.stderr
    found = restarted(stack, "api")
    assert found["restarts"] == 1
    assert components(stack)["mlflow"]["restarts"] == 1, "earlier restarts are remembered"
    assert stack.records()["supervisor"].pid != before["supervisor"].pid


def test_a_taken_port_is_reported_before_anything_is_started(stack: Stack) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(stack.env["TET_API_PORT"])))
        holder.listen()
        up = stack.tet("up")
    assert up.returncode == 1
    assert f"port {stack.env['TET_API_PORT']} is taken by process {os.getpid()}" in up.stderr
    assert "set TET_API_PORT to another" in up.stderr
    assert "starting" not in up.stderr
    assert stack.records() == {}


@pytest.mark.long
def test_up_ends_the_other_components_if_one_cannot_start(stack: Stack) -> None:
    # Nothing listens on this port, and SQLAlchemy reports that at once.
    up = stack.tet("up", TET_DATABASE_URL="postgresql://tet@127.0.0.1:9/tet")
    assert up.returncode == 1
    assert "mlflow is up" in up.stderr
    assert "api ended at once (exit status" in up.stderr
    assert "connection refused" in up.stderr.lower()
    assert_nothing_is_left(stack, {})


@pytest.mark.long
def test_an_interrupted_start_leaves_nothing(stack: Stack) -> None:
    with subprocess.Popen(
        stack.command("up"), env={**os.environ, **stack.env}, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as up:
        assert up.stderr is not None
        assert any("ray is up" in line for line in up.stderr)  # now Ray's twenty processes run
        records = stack.records()
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=60)
    assert up.returncode != 0
    assert set(records) >= {"ray"}
    assert_nothing_is_left(stack, records)


def test_a_second_up_at_the_same_time_is_refused(stack: Stack) -> None:
    stack.settings.home.mkdir()
    with (stack.settings.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        up = stack.tet("up")
    assert up.returncode == 1
    assert "another `tet up` or `tet down` is running" in up.stderr
