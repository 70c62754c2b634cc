"""Tests with a real Ray: which trial gets a free process, and how Ray names what runs in it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.tune import connected, named_steps, short_trials, withdrawn_trials
from tests.integration.tune.named_steps import LABELS
from tests.integration.tune.short_trials import SERVED_MEANWHILE, SLOTS, TRIALS
from tests.integration.tune.withdrawn_trials import LONG, SHORT


def run(program: str, *arguments: str) -> dict[str, Any]:
    """Run a program with trials, and return the JSON that it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program, *arguments],
        env=environment | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.mark.long
def test_no_process_is_ended_while_it_starts() -> None:
    printed = run(short_trials.__file__, "patient")
    assert sorted(printed["order"]) == list(range(TRIALS))
    assert printed["processes"] == SLOTS
    # After its own trial, the first process runs those for which no process is being started, in order.
    assert printed["order"][0] in range(SLOTS)
    assert printed["order"][1:SERVED_MEANWHILE] == [*range(SLOTS, SLOTS + SERVED_MEANWHILE - 1)]


@pytest.mark.parametrize(("process", "num_processes"), [("used", 1), ("new", 2)])
def test_a_process_is_used_again_only_if_it_is_wanted_and_its_steps_have_the_names_of_their_stages(
    tmp_path: Path, process: str, num_processes: int
) -> None:
    found = run(named_steps.__file__, str(tmp_path), process)
    assert found == {"names": sorted(2 * LABELS), "processes": num_processes}


def test_the_variables_of_a_job_are_those_of_its_driver_alone() -> None:
    assert run(connected.__file__) == {"ours": None, "plain": "1"}


def test_withdrawn_trials_never_start_and_keep_no_process() -> None:
    assert run(withdrawn_trials.__file__) == {"began": [LONG, SHORT], "staged": 0, "processes": 1}


@pytest.mark.long
def test_tune_by_itself_gives_free_processes_to_trials_whose_own_processes_are_starting() -> None:
    """If this fails, Tune has changed, and the scheduler may no longer be needed."""
    assert sorted(run(short_trials.__file__, "fifo")["order"][:SLOTS]) == list(range(SLOTS))
