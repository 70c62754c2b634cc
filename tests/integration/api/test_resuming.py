"""Tests of the API's answers to resume and retry with new resources."""

from pathlib import Path
from typing import Any

import pytest

from service.states import ExperimentState, Wanted
from tests.integration.api.conftest import Api, serving_api
from tests.integration.api.test_life_cycle import detail, end, posted

Spec = dict[str, Any]
FOUR = {"resources": {"workers_per_trial": 4}}


def paused(api: Api, spec: Spec, *, started: bool = True, **changes: Any) -> str:
    """Post an experiment with eight workers a trial, and pause it."""
    experiment = posted(api, {**spec, "resources": {"workers_per_trial": 8}}, **changes)
    put(api, experiment, ExperimentState.PAUSED)
    if started:
        with api.changing() as repository:
            stage = repository.work.chains(experiment)[0].stages[0]
            stage.epoch, stage.attempts = 3, 1
    return experiment


def put(api: Api, experiment: str, state: ExperimentState) -> None:
    with api.changing() as repository:
        row = repository.experiments.get(experiment)
        row.state, row.wanted = state, Wanted.PAUSE if state is ExperimentState.PAUSED else Wanted.RUN


def test_a_paused_experiment_resumes_with_fewer_workers_and_shows_its_earlier_resources(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    before = api.client.get(f"/experiments/{experiment}").json()
    assert (before["resources"]["workers_per_trial"], before["resources_history"]) == (8, [])
    for _ in range(2):  # a second request changes nothing
        answer = api.client.post(f"/experiments/{experiment}/resume", json=FOUR)
        assert answer.status_code == 202, answer.text
    shown = api.client.get(f"/experiments/{experiment}").json()
    assert shown == answer.json()
    assert shown["resources"] == {**before["resources"], "workers_per_trial": 4}
    (held,) = shown["resources_history"]
    assert (held["resources"], held["generation"]) == (before["resources"], 1)
    assert held["until"].endswith("Z")
    assert [chain["id"] for chain in shown["chains"]] == [chain["id"] for chain in before["chains"]]


@pytest.mark.parametrize("body", [None, {}, {"resources": {}}, {"resources": {"workers_per_trial": 8}}])
def test_a_resume_with_unchanged_resources_adds_no_history(api: Api, spec: Spec, body: Any) -> None:
    experiment = paused(api, spec)
    for state in (ExperimentState.PAUSED, ExperimentState.RUNNING):
        put(api, experiment, state)
        answer = api.client.post(f"/experiments/{experiment}/resume", **({} if body is None else {"json": body}))
        assert (answer.status_code, answer.json()["resources_history"]) == (202, [])


def test_resources_of_an_experiment_that_is_not_paused_cannot_change(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    for state in ("queued", "starting", "running", "pausing"):
        put(api, experiment, ExperimentState(state))
        message = detail(api.client.post(f"/experiments/{experiment}/resume", json=FOUR), 409)
        assert f"is {state}, and resources change only while" in message
        assert "pause it first" in message
    assert api.client.get(f"/experiments/{experiment}").json()["resources"]["workers_per_trial"] == 8


def test_a_failed_experiment_is_retried_with_fewer_workers(api: Api, spec: Spec) -> None:
    experiment = posted(api, {**spec, "resources": {"workers_per_trial": 8}})
    message = detail(api.client.post(f"/experiments/{experiment}/retry", json=FOUR), 409)
    assert "only a failed or cancelled experiment" in message
    end(api, experiment, ExperimentState.FAILED)
    shown = api.client.post(f"/experiments/{experiment}/retry", json=FOUR).json()
    assert (shown["state"], shown["generation"], shown["resources"]["workers_per_trial"]) == ("queued", 2, 4)
    assert [held["generation"] for held in shown["resources_history"]] == [1]


@pytest.mark.parametrize("what", ["resume", "retry"])
@pytest.mark.parametrize(
    ("body", "field", "value", "says"),
    [
        ({"resources": {"workers_per_trial": 0}}, "resources.workers_per_trial", 0, "at least 1 and at most 64"),
        ({"resources": {"workers_per_trial": 64}}, "batch_size", 60, "at least workers_per_trial, which is 64"),
        ({"resources": {"reuse_actors": True}}, "resources.reuse_actors", True, "must be false"),
        ({"resources": {"gpus_per_trial": 0.5}}, "resources.gpus_per_trial", 0.5, "must be a whole number"),
        ({"resources": {"cpu": 1}}, "resources.cpu", 1, "unknown key"),
        ({"batch_size": 64}, "batch_size", 64, "unknown key; accepted here: resources"),
        ([], "$", "[]", "must be a mapping"),
    ],
)
def test_invalid_resources_are_refused_with_their_field(
    api: Api, spec: Spec, what: str, body: Any, field: str, value: Any, says: str
) -> None:
    experiment = paused(api, spec, batch_size=60)
    if what == "retry":
        put(api, experiment, ExperimentState.QUEUED)
        end(api, experiment, ExperimentState.FAILED)
    answer = api.client.post(f"/experiments/{experiment}/{what}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["value"], says in fault["detail"]) == (field, value, True), fault
    shown = api.client.get(f"/experiments/{experiment}").json()
    assert (shown["resources_history"], shown["generation"]) == ([], 1)


def test_threads_cannot_change_after_the_first_stage_has_started(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    changes = {"resources": {"cpus_per_trial": 2}}
    message = detail(api.client.post(f"/experiments/{experiment}/resume", json=changes), 409)
    assert "has started, so cpus_per_trial stays 1 (its results depend on the number of threads)" in message
    fresh = paused(api, spec, started=False)
    answer = api.client.post(f"/experiments/{fresh}/resume", json=changes)
    assert answer.json()["resources"]["cpus_per_trial"] == 2


def test_resources_that_do_not_fit_a_configuration_are_refused(api: Api, spec: Spec) -> None:
    search = {"method": "grid", "space": {"batch_size": {"choice": [8, 16]}}}
    experiment = paused(api, spec, validation=0.1, search=search)
    answer = api.client.post(f"/experiments/{experiment}/resume", json={"resources": {"workers_per_trial": 9}})
    assert answer.status_code == 422, answer.text
    assert "workers_per_trial, which is 9" in answer.text


@pytest.mark.parametrize(
    "changes", [{}, {"validation": 0.1, "search": {"method": "grid", "space": {"batch_size": {"choice": [8, 16]}}}}]
)
def test_new_resources_are_not_measured_against_lower_budgets(tmp_path: Path, spec: Spec, changes: Spec) -> None:
    home, url = tmp_path / "home", f"sqlite:///{tmp_path / 'tet.db'}"
    with serving_api(home, url) as api:
        experiment = paused(api, spec, **changes)
    with serving_api(home, url, max_chains=1, max_stages=1, max_configured_stages=1) as api:
        answer = api.client.post(f"/experiments/{experiment}/resume", json=FOUR)
        assert answer.status_code == 202, answer.text


def test_a_resume_accepts_yaml_and_refuses_other_documents(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    path = f"/experiments/{experiment}/resume"
    headers = {"Content-Type": "application/yaml"}
    assert "not well-formed" in detail(
        api.client.post(path, content=b"{", headers={"Content-Type": "application/json"}), 400
    )
    assert detail(api.client.post(path, content=b"x", headers={"Content-Type": "text/plain"}), 415)
    answer = api.client.post(path, content=b"resources: {workers_per_trial: 2}", headers=headers)
    assert answer.json()["resources"]["workers_per_trial"] == 2
