"""Tests of the types of failures, produced on a real stack, with the messages of docs/troubleshooting.md."""

import json
import re

import pytest

from service.failures import ABOUT, FailureType
from service.runner.diagnosis import diagnose_lost
from service.storage import ExperimentFolder
from tests.failure_texts import FAILING_ARMS, TEXTS
from tests.integration.failures.conftest import HARMED, LOGGED_EPOCHS, Scene
from tests.local_stack import Json

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize(("experiment", "arm"), FAILING_ARMS)
def test_a_failed_stage_shows_the_type_and_message_of_its_failure(scene: Scene, experiment: str, arm: str) -> None:
    type_ = FAILING_ARMS[experiment, arm]
    stage = scene.stage(experiment, arm)
    assert stage["state"] == "failed"
    assert (stage["failure"]["type"], stage["failure"]["class"]) == (type_, ABOUT[type_].whose)
    assert re.fullmatch(TEXTS[type_], stage["failure"]["message"]), stage["failure"]["message"]


def test_the_clusters_failures_are_retried_and_the_users_are_not(scene: Scene) -> None:
    for experiment, arm in FAILING_ARMS:
        stage = scene.stage(experiment, arm)
        attempts = len(HARMED[arm]) if arm in HARMED else 1
        # The driver makes one more attempt, in which it marks the stage as failed.
        assert stage["attempts"] == attempts + 1, (experiment, arm)


def test_all_planned_attempts_were_harmed(scene: Scene) -> None:
    assert scene.harmed == {(arm, attempt) for arm, attempts in HARMED.items() for attempt in attempts}


def test_commits_before_a_failure_are_kept(scene: Scene) -> None:
    silent, starved = (scene.stage("arms", arm) for arm in ("silent", "starved"))
    assert silent["epoch"] == 2
    assert starved["epoch"] >= 1
    assert starved["metrics"]["test/accuracy"] > 0


def test_an_experiment_shows_the_failure_of_its_first_failed_stage(scene: Scene) -> None:
    for name in dict.fromkeys(experiment for experiment, _ in FAILING_ARMS):
        view = scene.views[name]
        first = next(chain["stages"][0] for chain in view["chains"] if chain["state"] == "failed")
        assert view["failure"] == {key: first["failure"][key] for key in ("type", "class", "message")}
    reason = "3 of 3 chains failed: not finite · seed 0, silent · seed 0, starved · seed 0"
    assert scene.views["arms"]["reason"] == reason


def test_chains_that_cannot_run_end_at_once_with_one_failure(scene: Scene) -> None:
    view = scene.views["alike"]
    assert {chain["state"] for chain in view["chains"]} == {"failed"}
    (group,) = view["failures"]
    assert (group["num_chains"], group["type"], group["remedy"]) == (40, "data", "repair_or_new_spec")
    assert "removed" in group["message"]
    assert view["reason"] == f"40 of 40 chains failed alike: data: {group['message']}"
    storage = ExperimentFolder(scene.stack.settings.storage, view["id"])
    trials = [*storage.path.glob("chains/*/*/attempts/*/trial.log")]
    assert len(trials) <= 6, "the other chains ended without a trial of their own"
    assert [file.name for file in sorted((storage.path / "checks").iterdir())] == ["0001-1.json", "0001-2.json"]
    assert f"40 chains failed alike: data: {group['message']} (one · seed 0" in scene.stack.tet("show", view["id"])


def test_drivers_that_die_one_after_the_other_are_engine_lost(scene: Scene) -> None:
    view = scene.views["engine"]
    assert view["state"] == "failed"
    assert re.fullmatch(TEXTS[FailureType.ENGINE_LOST], view["reason"]), view["reason"]
    assert view["failure"] == {"type": "engine_lost", "class": "cluster", "message": view["reason"]}


@pytest.mark.parametrize("experiment", ["arms", "data", "memory"])
def test_a_failed_experiment_is_the_failed_job_of_its_only_driver(scene: Scene, experiment: str) -> None:
    job = scene.views[experiment]["links"]["ray"].rpartition("/")[2]
    assert job == f"tet-{scene.ids[experiment]}-1"
    assert scene.stack.ray(f"/api/jobs/{job}")["status"] == "FAILED"
    assert scene.stack.get(f"/experiments/{scene.ids[experiment]}")["state"] == "failed"


def test_tet_show_explains_a_failure_and_gives_advice(scene: Scene) -> None:
    shown = scene.stack.tet("show", scene.ids["memory"])
    about = ABOUT[FailureType.OUT_OF_MEMORY]
    assert "failure out_of_memory, the user's: it is not retried automatically" in shown
    assert f"means   {about.meaning}\ndo      {about.advice}" in shown


def test_a_lasting_refusal_of_mlflow_fails_the_experiment_and_a_retry_ships_everything(scene: Scene) -> None:
    view = scene.views["tracking"]
    assert (view["state"], view["failure"]["type"], view["failure"]["class"]) == ("failed", "tracking", "cluster")
    assert re.fullmatch(TEXTS[FailureType.TRACKING], view["failure"]["message"]), view["failure"]["message"]
    assert re.fullmatch(r"\d+ points are not in MLflow, which refuses: .*", view["reason"])
    (stage,) = view["chains"][0]["stages"]
    assert (stage["state"], stage["epoch"]) == ("succeeded", LOGGED_EPOCHS)

    scene.mlflow.restore_experiment(scene.mlflow_experiment(view))
    with scene.stack.http as http:
        http.post(f"/experiments/{view['id']}/retry").raise_for_status()
    again = scene.stack.await_end(view["id"])
    assert (again["state"], again["failure"]) == ("succeeded", None)
    assert again["history"][0]["failure"]["type"] == "tracking"
    history = scene.mlflow.get_metric_history(again["chains"][0]["stages"][0]["mlflow_run_id"], "test/accuracy")
    assert sorted(point.step for point in history) == list(range(1, LOGGED_EPOCHS + 1))


def test_a_lost_node_and_short_memory_differ_in_rays_texts(scene: Scene) -> None:
    assert scene.ray is not None
    output, errors = scene.ray.communicate(timeout=600)
    assert scene.ray.returncode == 0, errors
    texts: Json = json.loads(output.splitlines()[-1])
    node, memory = diagnose_lost(texts["node"]), diagnose_lost(texts["memory"])
    assert (node.type, memory.type) == ("node_lost", "out_of_memory")
    assert re.match(r"the trial's node was lost(, or cut off: it does not answer any more)?$", node.message)
    assert re.match(
        r"out of memory: Ray ended the trial, since its node was short of memory \([\d.]+GB used / [\d.]+GB limit\); ",
        memory.message,
    )


def test_every_attempt_leaves_a_heartbeat(scene: Scene) -> None:
    storage = ExperimentFolder(scene.stack.settings.storage, scene.ids["arms"])
    for chain in scene.views["arms"]["chains"]:
        assert (storage.stage(chain["id"], 0).attempt(1) / "heartbeat").exists()
