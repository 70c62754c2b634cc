"""Which trial gets a process that has become free, on a real Ray."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.integration.tune import short_trials, withdrawn_trials
from tests.integration.tune.short_trials import SECOND_STAGE, SERVED_MEANWHILE, SLOTS, TRIALS
from tests.integration.tune.withdrawn_trials import LONG, SHORT


def run(program: str, *arguments: str) -> dict[str, Any]:
    """Return what a program of trials prints about them."""
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
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_no_process_is_ended_while_it_starts() -> None:
    found = run(short_trials.__file__, "patient")
    assert sorted(found["order"]) == list(range(TRIALS))
    assert found["processes"] == SLOTS
    # Behind its own, the first process serves those for which none is starting, in their order.
    assert found["order"][0] in range(SLOTS)
    assert found["order"][1:SERVED_MEANWHILE] == [*range(SLOTS, SLOTS + SERVED_MEANWHILE - 1)]
    # What goes on with a chain passes by those that open another.
    assert found["order"].index(SECOND_STAGE) < found["order"].index(SECOND_STAGE - 1)


def test_what_is_withdrawn_while_it_waits_never_begins_and_keeps_no_process_for_itself() -> None:
    assert run(withdrawn_trials.__file__) == {"began": [LONG, SHORT], "staged": 0, "processes": 1}


def test_tune_by_itself_still_serves_first_those_for_which_processes_are_starting() -> None:
    """Why there is a scheduler of our own; once this fails, it can go."""
    assert sorted(run(short_trials.__file__, "fifo")["order"][:SLOTS]) == list(range(SLOTS))
