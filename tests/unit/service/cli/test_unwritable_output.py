"""Tests of output that cannot be written: there is no traceback, and the exit status is never 0."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [["--help"], ["presets", "fig3-switch-mini"], ["status"], ["status", "--json"]]


def tet(arguments: list[str], home: Path, stdout: int) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TET_HOME": str(home), "TET_API_PORT": "9", "TET_MLFLOW_PORT": "10", "TET_RAY_GCS_PORT": "11"}
    command = [sys.executable, "-m", "service.cli.main", *arguments]
    return subprocess.run(command, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_an_error(arguments: list[str], tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    ended = tet(arguments, tmp_path, full)
    os.close(full)
    assert ended.returncode == 1
    assert ended.stderr.endswith("error: the output cannot be written: No space left on device\n")
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", COMMANDS[:3], ids=" ".join)
def test_a_reader_that_has_closed_its_pipe_gets_no_message(arguments: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = tet(arguments, tmp_path, writing)
    os.close(writing)
    assert ended.returncode != 0
    assert ended.stderr == ""
