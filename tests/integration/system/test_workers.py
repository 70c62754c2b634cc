"""Tests of trials with two workers on a cluster; `make test-workers` has more scenarios, also with four."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

# The scenarios in order: those with a fault are compared with the undisturbed one.
PLAYED = ("2 undisturbed", "2 killed", "2 broken data")


@pytest.fixture(scope="module")
def promises() -> dict[str, dict[str, bool]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.system.workers", *PLAYED],
        env=environment | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.stdout.strip(), done.stderr[-5000:]
    results: dict[str, dict[str, bool]] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.parametrize("name", PLAYED)
def test_the_promises_about_a_trial_of_two_workers_are_kept(promises: dict[str, dict[str, bool]], name: str) -> None:
    assert promises[name]
    assert [promise for promise, is_kept in promises[name].items() if not is_kept] == []
