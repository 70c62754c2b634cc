"""One experiment paused, resumed, its driver killed, cancelled and retried: no bit is lost, doubled or another."""

import os
import signal

import pytest

from tests.integration.experiment.conftest import SPEC, Finished, driver_process, run_to_end
from tests.local_stack import Json, LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def stages(view: Json) -> list[Json]:
    return [stage for chain in view["chains"] for stage in chain["stages"]]


def post(stack: LocalStack, path: str) -> None:
    with stack.http as http:
        http.post(path).raise_for_status()


def paused_in_the_middle(stack: LocalStack) -> str:
    """The main job, paused while stages are at work."""
    experiment_id: str = stack.post(SPEC).json()["id"]
    stack.await_experiment(
        experiment_id, lambda view: any(s["state"] == "running" and s["epoch"] >= 2 for s in stages(view))
    )
    post(stack, f"/experiments/{experiment_id}/pause")
    view = stack.await_experiment(experiment_id, lambda view: view["state"] == "paused")
    assert "running" not in {stage["state"] for stage in stages(view)}
    begun = [stage for stage in stages(view) if stage["attempts"] and stage["state"] == "waiting"]
    assert begun, "a stage was at work"
    assert all(stage["epoch"] >= 1 for stage in begun), "each that was at work ended its epoch"
    return experiment_id


def test_pauses_and_kills_lose_and_double_nothing(stack: LocalStack, finished: Finished) -> None:
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
    os.kill(driver_process(experiment_id).pid, signal.SIGKILL)
    # What the dead one has said may be read until the next one is there, so that seven stages prove no revival.
    revived = f"tet-{experiment_id}-3"
    stack.await_experiment(
        experiment_id,
        lambda view: view["links"]["ray"].endswith(revived) and view["progress"]["stages_done"] >= 7,
    )
    cancelled_and_retried(stack, experiment_id)
    again = run_to_end(stack, experiment_id)
    # Begun, resumed, revived, retried; and once more where the retry was quicker than the pause that follows it.
    assert again.view["links"]["ray"].endswith((f"tet-{experiment_id}-4", f"tet-{experiment_id}-5"))
    assert again.hashes() == finished.hashes()
    assert again.series() == finished.series()
    assert len(again.runs()) == 21
    assert {run.info.status for run in again.runs()} == {"FINISHED"}


def cancelled_and_retried(stack: LocalStack, experiment_id: str) -> None:
    post(stack, f"/experiments/{experiment_id}/cancel")
    view = stack.await_experiment(experiment_id, lambda view: view["state"] == "cancelled")
    done = [stage for stage in stages(view) if stage["state"] == "succeeded"]
    assert 7 <= len(done) < 12
    post(stack, f"/experiments/{experiment_id}/retry")
    view = stack.get(f"/experiments/{experiment_id}")
    assert (view["generation"], [past["state"] for past in view["history"]]) == (2, ["cancelled"])
    assert [stage for stage in stages(view) if stage["state"] == "succeeded"] == done, "what has succeeded stays"
    with stack.http as http:
        refused = http.post(f"/experiments/{experiment_id}/pause")  # it is taken as any other experiment is
    assert refused.status_code == 202
    stack.await_experiment(experiment_id, lambda view: view["state"] == "paused")
    post(stack, f"/experiments/{experiment_id}/resume")
