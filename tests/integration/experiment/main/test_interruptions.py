"""A test of interruptions: pause, resume, kill of the driver, cancellation and retry change no result."""

import time

import psutil
import pytest

from service.runner.commits.reading import read_commits
from service.storage import ExperimentFolder
from tests.integration.experiment.conftest import SPEC, Finished, driver_process, run_to_end
from tests.local_stack import END_S, Json, LocalStack

# The test waits for six states one after the other, in addition to its fixtures.
pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(8 * END_S)]


def stages(view: Json) -> list[Json]:
    return [stage for chain in view["chains"] for stage in chain["stages"]]


def post(stack: LocalStack, path: str) -> None:
    with stack.http as http:
        http.post(path).raise_for_status()


def driver_number(view: Json) -> int:
    """Return the number of an experiment's newest driver."""
    return int(view["links"]["ray"].rpartition("-")[2])


def frozen_in_its_first_stage(stack: LocalStack, experiment_id: str) -> psutil.Process:
    """Freeze the first trial after its first epoch, so that its stage cannot end before the test resumes it."""
    first = stack.get(f"/experiments/{experiment_id}")["chains"][0]
    folder = ExperimentFolder(stack.settings.storage, experiment_id).stage(first["id"], 0)
    deadline = time.monotonic() + END_S
    process: psutil.Process | None = None
    while process is None or not read_commits(folder):
        assert time.monotonic() < deadline, "no epoch is committed"
        process = process or stack.trial_process(f"{first['arm']} · seed {first['seed']}")
        time.sleep(0.02)
    process.suspend()
    return process


def paused_in_the_middle(stack: LocalStack) -> str:
    """Post the main job, pause it while stages run, and return its id."""
    experiment_id: str = stack.post(SPEC).json()["id"]
    trial = frozen_in_its_first_stage(stack, experiment_id)
    post(stack, f"/experiments/{experiment_id}/pause")
    stack.await_experiment(experiment_id, lambda view: view["state"] in ("pausing", "paused"))
    trial.resume()
    view = stack.await_experiment(experiment_id, lambda view: view["state"] == "paused")
    assert "running" not in {stage["state"] for stage in stages(view)}
    interrupted = [stage for stage in stages(view) if stage["attempts"] and stage["state"] == "waiting"]
    assert interrupted, "no stage was running"
    assert all(stage["epoch"] >= 1 for stage in interrupted), "a running stage did not end its epoch"
    return experiment_id


def test_pauses_and_kills_change_no_result(stack: LocalStack, finished: Finished) -> None:
    experiment_id = paused_in_the_middle(stack)
    post(stack, f"/experiments/{experiment_id}/resume")
    stack.await_experiment(
        experiment_id,
        lambda view: (
            view["state"] == "running"
            and view["progress"]["stages_done"] >= 4
            and any(stage["state"] == "running" and stage["epoch"] for stage in stages(view))
        ),
    )
    killed = driver_number(stack.get(f"/experiments/{experiment_id}"))
    driver_process(experiment_id).kill()
    # Events of the killed driver may still be read before the next one starts, so wait for the next number too.
    view = stack.await_experiment(
        experiment_id,
        lambda view: driver_number(view) > killed and view["progress"]["stages_done"] >= 7,
    )
    assert driver_number(view) == killed + 1
    rested = cancelled_and_retried(stack, experiment_id)
    again = run_to_end(stack, experiment_id)
    assert driver_number(again.view) == rested + 1
    assert again.hashes() == finished.hashes()
    assert again.series() == finished.series()
    assert len(again.runs()) == 21
    assert {run.info.status for run in again.runs()} == {"FINISHED"}


def cancelled_and_retried(stack: LocalStack, experiment_id: str) -> int:
    """Cancel, retry, pause and resume the experiment; return the number of the newest driver before the resumption."""
    post(stack, f"/experiments/{experiment_id}/cancel")
    view = stack.await_experiment(experiment_id, lambda view: view["state"] == "cancelled")
    cancelled = driver_number(view)
    done = [stage for stage in stages(view) if stage["state"] == "succeeded"]
    assert 7 <= len(done) < 12
    post(stack, f"/experiments/{experiment_id}/retry")
    view = stack.get(f"/experiments/{experiment_id}")
    assert (view["generation"], [past["state"] for past in view["history"]]) == (2, ["cancelled"])
    assert [stage for stage in stages(view) if stage["state"] == "succeeded"] == done, "succeeded stages must stay"
    with stack.http as http:
        answer = http.post(f"/experiments/{experiment_id}/pause")
    assert answer.status_code == 202
    view = stack.await_experiment(experiment_id, lambda view: view["state"] == "paused")
    # The number is one higher if the retry started a driver before the pause.
    assert driver_number(view) in (cancelled, cancelled + 1)
    post(stack, f"/experiments/{experiment_id}/resume")
    return driver_number(view)
