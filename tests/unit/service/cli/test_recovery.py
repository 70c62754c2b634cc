"""Tests of components whose pid file is lost while their process runs: they are found, and never started twice."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.cli.stack import stack, supervisor_control
from service.cli.stack.component import Component, component_environment, components
from service.cli.stack.home import make_home, settings_digest
from service.cli.stack.process import COMPONENT, MARK, ProcessRecord, StartedProcess, birth
from service.cli.stack.recovery import living, recover
from service.settings import Settings
from tests.ports import free_ports
from tests.root import ROOT

NAMES = ("API_PORT", "MLFLOW_PORT", "RAY_DASHBOARD_PORT", "RAY_GCS_PORT", "RAY_CLIENT_PORT", "RAY_AGENT_PORT")
# A process that is started with the arguments of the API. It starts a child in a session of its own.
PRETENDER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ports = {f"TET_{name}": str(port) for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True)}
    made = Settings.from_environment({**ports, "TET_HOME": str(tmp_path / "home")})
    make_home(made)
    return made


@pytest.fixture
def api(settings: Settings) -> Iterator[tuple[Component, StartedProcess, int]]:
    """Start a process in place of the API; yield the component, the process and the pid of its child."""
    component = next(each for each in components(settings) if each.name == "api")
    process = StartedProcess.start(
        [sys.executable, "-c", PRETENDER, "-m", "service.api"],
        env=component_environment(settings),
        cwd=settings.home,
        log=component.log,
        pid_file=component.pid_file,
        settings=settings_digest(settings),
    )
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", "--pid", str(process.popen.pid), component.log], stdout=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        child = int(tail.stdout.readline())
        tail.terminate()
    yield component, process, child
    process.record.stop(5)
    process.popen.wait(5)


@pytest.mark.parametrize("content", [None, "", '{"pid": 1'])
def test_a_lost_pid_file_is_written_again_from_its_process(
    settings: Settings, api: tuple[Component, StartedProcess, int], content: str | None
) -> None:
    component, process, _ = api
    component.pid_file.remove() if content is None else component.pid_file.path.write_text(content)
    said: list[str] = []
    recover(settings, said.append, missing=True)
    assert component.pid_file.read() == process.record
    assert len(said) == 1
    assert said[0].endswith(f"and api still runs (process {process.popen.pid}): the file was written again")
    assert {record.pid for record in living(settings)["api"]} == {process.popen.pid}


def test_the_children_of_a_dead_process_are_found_without_its_pid_file(
    settings: Settings, api: tuple[Component, StartedProcess, int]
) -> None:
    component, process, child = api
    process.popen.kill()
    process.popen.wait(5)
    component.pid_file.path.write_text("")
    recover(settings, lambda _: None, missing=False)
    found = component.pid_file.read()
    assert found is not None
    assert not found.is_alive()
    assert [member.pid for member in found.family()] == [child]


@pytest.mark.parametrize("content", [None, ""])
def test_down_ends_a_process_whose_pid_file_is_lost(
    settings: Settings, api: tuple[Component, StartedProcess, int], content: str | None
) -> None:
    component, process, child = api
    component.pid_file.remove() if content is None else component.pid_file.path.write_text(content)
    said: list[str] = []
    stack.down(settings, said.append)
    process.popen.wait(5)
    assert (birth(process.popen.pid), birth(child)) == (None, None)
    assert "api ended" in said
    assert not component.pid_file.path.exists()


def test_down_ends_a_process_whose_pid_file_names_another_process(
    settings: Settings, api: tuple[Component, StartedProcess, int]
) -> None:
    component, process, _ = api
    component.pid_file.write(ProcessRecord(None, process.record.birth, "another mark", ""))
    said: list[str] = []
    stack.down(settings, said.append)
    process.popen.wait(5)
    assert f"another api ended, which no file in {settings.home / 'run'} named" in said


def test_a_stack_in_another_folder_is_not_touched(
    settings: Settings, api: tuple[Component, StartedProcess, int], tmp_path: Path
) -> None:
    other = settings.model_copy(update={"home": tmp_path / "other"})
    make_home(other)
    stack.down(other, lambda _: None)
    assert psutil.pid_exists(api[1].popen.pid)
    assert living(other) == {}


def test_a_damaged_pid_file_without_a_process_counts_as_a_dead_component(settings: Settings) -> None:
    component = next(each for each in components(settings) if each.name == "mlflow")
    component.pid_file.path.write_text("{")
    said: list[str] = []
    recover(settings, said.append, missing=False)
    found = component.pid_file.read()
    assert found is not None
    assert not found.is_alive()
    assert found.family() == []
    assert said == [f"{component.pid_file.path} is damaged, and no process of mlflow runs: it counts as dead"]


def test_a_supervisor_that_looks_for_lost_files_finds_itself(settings: Settings) -> None:
    code = """
from service.cli.stack.recovery import recover
from service.cli.stack.supervisor_control import supervisor_pid
from service.settings import Settings
settings = Settings.from_environment()
recover(settings, print, missing=False)
print(supervisor_pid(settings))
"""
    supervisor_control.pid_file(settings).path.write_text("{")
    env = {
        **component_environment(settings),
        MARK: "m",
        COMPONENT: supervisor_control.SUPERVISOR,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", code, *supervisor_control.SUPERVISOR_COMMAND[1:]]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1] == str(process.pid)


def test_the_status_of_a_home_without_a_stack_says_that_it_runs_no_component(settings: Settings) -> None:
    shown = {each.name: each for each in stack.status(settings)}
    assert not any(each.healthy for each in shown.values())
    assert (shown["api"].trouble or "").startswith(f"TET_HOME={settings.home} runs no api; ")
    assert supervisor_control.supervisor_pid(settings) is None
    assert os.path.isdir(settings.home / "run")
