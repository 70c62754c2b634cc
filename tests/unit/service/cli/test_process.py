"""Tests of background processes: they are found again, and ended with their families."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from service.cli.stack.process import MARK, PidFile, ProcessRecord, StartedProcess, birth

# Starts a child in a session of its own, as Ray does for a job's driver, and prints the child's pid.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def start(folder: Path, code: str) -> StartedProcess:
    return StartedProcess.start(
        [sys.executable, "-c", code],
        env=os.environ,
        cwd=folder,
        log=folder / "log",
        pid_file=PidFile(folder / "pid.json"),
        settings="",
    )


def first_line(folder: Path, started: StartedProcess) -> str:
    """Return the first line of the process's output, as soon as it is printed."""
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", "--pid", str(started.popen.pid), "log"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        line = tail.stdout.readline()
        tail.terminate()
    return line.strip()


def test_ending_a_process_ends_its_children_in_other_sessions(tmp_path: Path) -> None:
    started = start(tmp_path, PARENT)
    child = psutil.Process(int(first_line(tmp_path, started)))
    assert {process.pid for process in started.record.family()} == {started.popen.pid, child.pid}
    started.record.stop(grace_s=5)
    assert started.popen.wait(5) < 0
    assert birth(child.pid) is None
    assert started.record.family() == []


def test_children_are_found_after_their_parent_was_killed(tmp_path: Path) -> None:
    started = start(tmp_path, PARENT)
    child = psutil.Process(int(first_line(tmp_path, started)))
    started.popen.kill()
    started.popen.wait(5)
    remembered = PidFile(tmp_path / "pid.json").read()
    assert remembered is not None
    assert not remembered.is_alive()
    assert [process.pid for process in remembered.family()] == [child.pid]
    remembered.stop(grace_s=5)
    assert birth(child.pid) is None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    started = start(tmp_path, STUBBORN)
    assert first_line(tmp_path, started) == "up"
    started.record.stop(grace_s=0.2)
    assert started.popen.wait(5) == -9


def test_a_later_process_with_the_same_pid_is_not_taken_for_ours() -> None:
    mine = birth(os.getpid())
    assert mine is not None
    stale = ProcessRecord(os.getpid(), mine + "1", "no such mark", "")
    assert not stale.is_alive()
    assert stale.family() == []
    stale.stop(grace_s=0)  # this process is not killed


def test_a_record_from_before_a_reboot_has_no_family() -> None:
    assert ProcessRecord(os.getpid(), "another-boot:1", os.environ.get(MARK, ""), "").family() == []


def test_a_process_whose_start_was_not_recorded_is_found_by_its_mark(tmp_path: Path) -> None:
    started = start(tmp_path, PARENT)
    first_line(tmp_path, started)
    half = ProcessRecord(None, started.record.birth, started.record.mark, "")
    assert started.popen.pid in {process.pid for process in half.family()}
    half.stop(grace_s=5)
    assert started.popen.wait(5) < 0


WRONG = ['"a"', "-1", "0", "99999999999", "1.5", "true"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "17", '{"pid": 3}', *(f'{{"pid": {pid}, "birth": "b", "mark": "m", "settings": "s"}}' for pid in WRONG)],
)
def test_a_pid_file_that_cannot_be_read_names_no_process(tmp_path: Path, text: str) -> None:
    file = PidFile(tmp_path / "pid.json")
    assert not file.is_damaged()
    file.path.write_text(text)
    assert file.read() is None
    assert file.is_damaged()
