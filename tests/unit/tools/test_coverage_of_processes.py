"""A process that a measured one starts is measured too: in another folder, and if it ends by a signal or `os._exit`."""

import os
import subprocess
import sys
from pathlib import Path

from coverage import CoverageData

from tests.root import ROOT

STARTS_TWO = """
import subprocess, sys

import service.states

command = [sys.executable, "-c", "import service.signals, os; os._exit(0)"]
subprocess.run(command, cwd="/", check=True)
command[-1] = "import service.storage, time; print(flush=True); time.sleep(600)"
with subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE) as process:
    process.stdout.readline()
    process.terminate()
"""


def test_a_process_is_measured_wherever_it_runs_and_however_it_ends(tmp_path: Path) -> None:
    script = tmp_path / "starts_two.py"
    script.write_text(STARTS_TWO)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    environment |= {"COVERAGE_FILE": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={ROOT / 'pyproject.toml'}", str(script)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    run = set()
    for file in tmp_path.glob("data.*"):
        data = CoverageData(str(file))
        data.read()
        run |= {path for path in data.measured_files() if data.lines(path)}
    assert run >= {str(ROOT / "service" / f"{name}.py") for name in ("states", "signals", "storage")}
