"""A test that coverage also measures child processes, even if they run in another folder or are killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from coverage import CoverageData

from tests.root import ROOT
from tests.tools.coverage_saving import INTERVAL_S

STARTS_THREE = """
import subprocess, sys

import service.states

import pytest

def start(code):
    return subprocess.Popen([sys.executable, "-c", code], cwd="/", stdout=subprocess.PIPE)

start("import service.signals, os; os._exit(0)").wait()
with start("import service.storage, time; print(flush=True); time.sleep(600)") as process:
    process.stdout.readline()
    process.terminate()
code = "import service.errors, time; time.sleep({wait_s}); print(flush=True); time.sleep(600)"
with start(code) as process:
    process.stdout.readline()
    process.kill()
"""


@pytest.mark.slow
def test_a_child_process_is_measured_in_any_folder_and_however_it_ends(tmp_path: Path) -> None:
    script = tmp_path / "starts_three.py"
    script.write_text(STARTS_THREE.replace("{wait_s}", str(10 * INTERVAL_S)))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    environment |= {"COVERAGE_FILE": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={ROOT / 'pyproject.toml'}", str(script)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    measured = set()
    for file in tmp_path.glob("data.*"):
        data = CoverageData(str(file))
        data.read()
        measured |= {path for path in data.measured_files() if data.lines(path)}
    assert measured >= {str(ROOT / "service" / f"{name}.py") for name in ("states", "signals", "storage", "errors")}
