"""Tests of the control process: how it ends, and how its parent replaces it."""

import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from service.control import child
from service.control.child import ControlProcess
from service.settings import Settings
from service.store.database import Database

# Does the same as `python -m service.control`, but with a reconciler or a housekeeper that hangs. `hurried` shortens
# the wait for the hanging thread to a fiftieth.
HANGING = """
import sys, threading
from service.control import __main__ as control, reconciler
from service.control.background import BackgroundThread
from service.control.housekeeper import Housekeeper
from service.control.reconciler import Reconciler
def hang(_):
    print("it hangs", flush=True)
    threading.Event().wait()
def hurried(part):
    ended_within = part.ended_within
    part.ended_within = lambda self, within_s: ended_within(self, within_s / 50)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = {"home": tmp_path, "ray_url": "http://127.0.0.1:9"}  # nothing listens there
    settings = Settings.model_validate(home)
    settings.storage.mkdir()
    database = Database(settings.database_url)
    database.migrate()
    database.dispose()
    return settings


@contextmanager
def started(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start Python as a child whose standard input stays open, and yield the process."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **settings.environment()},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_word(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def errors(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.read()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_process_ends_in_order_on_sigterm_while_its_parent_lives(settings: Settings) -> None:
    with started(settings, "-m", "service.control") as process:
        assert first_word(process) == "\n"
        process.terminate()
        assert process.wait(60) == 0
        assert "ended in the middle" not in errors(process)


def test_no_thread_starts_against_the_database_of_a_newer_version(settings: Settings) -> None:
    database = Database(settings.database_url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.dispose()
    script = f"{HANGING}BackgroundThread.start = hang; sys.exit(control.main())"
    with started(settings, "-c", script) as process:
        assert "which a newer version" in first_word(process)
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("hanging", "left"), [("Housekeeper.round", "Housekeeper"), ("Reconciler.round", "Reconciler")]
)
def test_a_hanging_thread_is_abandoned_after_the_other_has_ended(settings: Settings, hanging: str, left: str) -> None:
    script = f"{HANGING}{hanging} = hang; hurried({left}); sys.exit(control.main())"
    with started(settings, "-c", script) as process:
        until(lambda: first_word(process) == "it hangs\n")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
        assert f"ended in the middle of its work: {left}\n" in errors(process)


def test_the_process_exits_if_the_reconciler_hangs(settings: Settings) -> None:
    short = "reconciler.STALE_AFTER_S = control.GIVE_UP_AFTER_S = control.REPORT_INTERVAL_S = 0.05"
    script = f"{HANGING}Reconciler.round = hang; {short}; sys.exit(control.main())"
    with started(settings, "-c", script) as process:
        assert process.wait(60) == 1
        silent = r"the reconciler has been silent for \d+ s; a new process takes over"
        assert re.search(silent, errors(process))


def test_a_failed_start_is_reported_and_tried_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "RESTART_WAIT_S", 0.01)
    control, python = ControlProcess(settings), sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    starting = threading.Thread(target=control.start)
    starting.start()
    try:
        until(lambda: "does not run (it cannot be started: [Errno 2]" in (control.problem() or ""))
        monkeypatch.setattr(sys, "executable", python)
        starting.join()
        assert control.problem() is None
    finally:
        control.stop()


@pytest.mark.parametrize(
    ("says", "patience"), [("echo", {"SILENT_S": 0.2}), ("", {"FIRST_SIGN_S": 0.2})], ids=["after a word", "never"]
)
def test_a_silent_child_is_replaced(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, patience: dict[str, float]
) -> None:
    for name, seconds in {"RESTART_WAIT_S": 0.01, "STOP_S": 0.1, **patience}.items():
        monkeypatch.setattr(child, name, seconds)
    pids, script = tmp_path / "pids", tmp_path / "child"
    script.write_text(f"#!/bin/sh\n{says}\necho $$ >> {shlex.quote(str(pids))}\nexec sleep 600\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    control = ControlProcess(settings)
    control.start()
    try:
        until(lambda: pids.exists() and len(pids.read_text().splitlines()) > 1)
        assert not psutil.pid_exists(int(pids.read_text().splitlines()[0]))
    finally:
        control.stop()
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().splitlines())
