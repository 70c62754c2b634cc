"""A driver killed in the middle: nothing is lost, nothing is doubled, and the result is the same to the last bit."""

import os
import signal

import pytest

from tests.integration.experiment.conftest import SPEC, Finished, driver_process, run_to_end
from tests.local_stack import LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def test_a_killed_driver_loses_and_doubles_nothing(stack: LocalStack, finished: Finished) -> None:
    experiment_id = stack.post(SPEC).json()["id"]
    stack.await_experiment(
        experiment_id,
        lambda view: (
            view["progress"]["stages_done"] >= 2
            and any(
                stage["state"] == "running" and stage["epoch"] for chain in view["chains"] for stage in chain["stages"]
            )
        ),
    )
    os.kill(driver_process(experiment_id).pid, signal.SIGKILL)
    again = run_to_end(stack, experiment_id)
    assert again.view["links"]["ray"].endswith(f"tet-{experiment_id}-2")
    assert again.hashes() == finished.hashes()
    assert again.series() == finished.series()
    assert len(again.runs()) == 21
