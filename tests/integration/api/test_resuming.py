"""Resuming and retrying with other resources: what the API answers."""

from typing import Any

import pytest

from service.states import ExperimentState, Wanted
from tests.integration.api.conftest import Api
from tests.integration.api.test_life_cycle import detail, end, posted

Spec = dict[str, Any]
FOUR = {"resources": {"workers_per_trial": 4}}


def paused(api: Api, spec: Spec, *, begun: bool = True, **changes: Any) -> str:
    """An experiment of eight workers a trial, at rest."""
    experiment = posted(api, {**spec, "resources": {"workers_per_trial": 8}}, **changes)
    put(api, experiment, ExperimentState.PAUSED)
    if begun:
        with api.changing() as repository:
            stage = repository.work.chains(experiment)[0].stages[0]
            stage.epoch, stage.attempts = 3, 1
    return experiment


def put(api: Api, experiment: str, state: ExperimentState) -> None:
    with api.changing() as repository:
        row = repository.experiments.get(experiment)
        row.state, row.wanted = state, Wanted.PAUSE if state is ExperimentState.PAUSED else Wanted.RUN


def test_what_is_paused_goes_on_with_fewer_workers_and_shows_what_it_had(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    before = api.client.get(f"/experiments/{experiment}").json()
    assert (before["resources"]["workers_per_trial"], before["resources_history"]) == (8, [])
    for _ in range(2):  # to ask twice is to ask once
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
def test_a_resume_that_changes_nothing_is_one_of_old(api: Api, spec: Spec, body: Any) -> None:
    experiment = paused(api, spec)
    for state in (ExperimentState.PAUSED, ExperimentState.RUNNING):
        put(api, experiment, state)
        answer = api.client.post(f"/experiments/{experiment}/resume", **({} if body is None else {"json": body}))
        assert (answer.status_code, answer.json()["resources_history"]) == (202, [])


def test_what_runs_is_to_be_paused_first(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    for state in ("queued", "starting", "running", "pausing"):
        put(api, experiment, ExperimentState(state))
        said = detail(api.client.post(f"/experiments/{experiment}/resume", json=FOUR), 409)
        assert f"is {state}, and its trials hold their resources" in said
        assert "pause it first" in said
    assert api.client.get(f"/experiments/{experiment}").json()["resources"]["workers_per_trial"] == 8


def test_what_failed_is_retried_with_fewer(api: Api, spec: Spec) -> None:
    experiment = posted(api, {**spec, "resources": {"workers_per_trial": 8}})
    assert "only what failed" in detail(api.client.post(f"/experiments/{experiment}/retry", json=FOUR), 409)
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
def test_what_it_cannot_be_run_with_is_refused_by_field(
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


def test_threads_are_part_of_what_has_begun(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    said = detail(api.client.post(f"/experiments/{experiment}/resume", json={"resources": {"cpus_per_trial": 2}}), 409)
    assert "has started and goes on with cpus_per_trial 1 (its threads)" in said
    fresh = paused(api, spec, begun=False)
    answer = api.client.post(f"/experiments/{fresh}/resume", json={"resources": {"cpus_per_trial": 2}})
    assert answer.json()["resources"]["cpus_per_trial"] == 2


def test_configurations_of_a_search_that_it_cannot_be_run_with_are_named(api: Api, spec: Spec) -> None:
    search = {"method": "grid", "space": {"batch_size": {"choice": [8, 16]}}}
    experiment = paused(api, spec, validation=0.1, search=search)
    answer = api.client.post(f"/experiments/{experiment}/resume", json={"resources": {"workers_per_trial": 9}})
    assert answer.status_code == 422, answer.text
    assert "workers_per_trial, which is 9" in answer.text


def test_yaml_is_taken_and_nothing_that_is_no_document(api: Api, spec: Spec) -> None:
    experiment = paused(api, spec)
    path = f"/experiments/{experiment}/resume"
    headers = {"Content-Type": "application/yaml"}
    assert "not well-formed" in detail(
        api.client.post(path, content=b"{", headers={"Content-Type": "application/json"}), 400
    )
    assert detail(api.client.post(path, content=b"x", headers={"Content-Type": "text/plain"}), 415)
    answer = api.client.post(path, content=b"resources: {workers_per_trial: 2}", headers=headers)
    assert answer.json()["resources"]["workers_per_trial"] == 2
