"""Trials that are withdrawn while they wait, on a real Ray."""

import json
import os
import subprocess
import sys

from tests.integration.tune.withdrawn_trials import LONG, SHORT
from tests.integration.tune.withdrawn_trials import __file__ as program


def test_what_is_withdrawn_never_begins_and_keeps_no_process_for_itself() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program],
        env=environment | {"PYTHONPATH": os.getcwd()}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"began": [LONG, SHORT], "staged": 0, "processes": 1}
