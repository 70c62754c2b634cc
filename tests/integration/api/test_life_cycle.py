"""Tests of the API's answers to retry, fork, delete and verify."""

from typing import Any

import pytest

from service.reasons import failed
from service.states import ExperimentState, WorkState
from tests.integration.api.conftest import Api, serving_api

Spec = dict[str, Any]


def posted(api: Api, spec: Spec, **changes: Any) -> str:
    answer = api.post({**spec, **changes})
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["id"]
    return found


def end(api: Api, experiment_id: str, state: ExperimentState) -> None:
    """End an experiment as the reconciler would; all its chains and stages succeed or fail with it."""
    work = WorkState.SUCCEEDED if state is ExperimentState.SUCCEEDED else WorkState.FAILED
    with api.changing() as repository:
        for chain in repository.work.chains(experiment_id):
            for stage in chain.stages:
                stage.epoch = stage.epochs
        repository.work.end_unfinished(experiment_id, work)
        repository.transitions.advance(experiment_id, ExperimentState.QUEUED, state, reason=failed("1 chain failed"))


def detail(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: str = answer.json()["detail"]
    return found


def test_a_failed_experiment_is_retried_and_its_history_is_shown(api: Api, spec: Spec) -> None:
    experiment = posted(api, spec)
    assert "only a failed or cancelled experiment" in detail(api.client.post(f"/experiments/{experiment}/retry"), 409)
    end(api, experiment, ExperimentState.FAILED)
    for _ in range(2):  # a second request changes nothing
        answer = api.client.post(f"/experiments/{experiment}/retry")
        assert answer.status_code == 202
        body = answer.json()
        assert (body["state"], body["generation"], body["reason"]) == ("queued", 2, "")
        assert [(past["generation"], past["state"], past["reason"]) for past in body["history"]] == [
            (1, "failed", "1 chain failed")
        ]
    assert {stage["state"] for chain in body["chains"] for stage in chain["stages"]} == {"waiting"}


def test_a_fork_starts_from_the_parents_last_stage(api: Api, spec: Spec) -> None:
    parent = posted(api, spec)
    end(api, parent, ExperimentState.SUCCEEDED)
    arm = {"name": "TET", "stages": [{"kind": "train", "T": 6, "epochs": 5, "loss": {"name": "tet"}}]}
    changes = {"name": "on", "arms": [arm], "baseline": "TET", "start": {"arm": "TIT"}, "seeds": [2, 1]}
    answer = api.client.post(f"/experiments/{parent}/fork", json=changes)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/experiments/{answer.json()['id']}"
    assert answer.json()["parents"] == [parent]
    assert {(chain["arm"], chain["seed"]) for chain in answer.json()["chains"]} == {("TET", 1), ("TET", 2)}
    with api.changing() as repository:
        stored = repository.experiments.get(answer.json()["id"]).spec
    assert "start" not in stored
    assert stored["arms"][0]["start"] == {"experiment": parent, "arm": "TIT", "stage": 1, "epochs": 25}


def test_a_fork_of_a_fork_counts_the_epochs_of_both(api: Api, spec: Spec) -> None:
    parent = posted(api, spec)
    end(api, parent, ExperimentState.SUCCEEDED)
    child = api.client.post(f"/experiments/{parent}/fork").json()["id"]
    end(api, child, ExperimentState.SUCCEEDED)
    grandchild = api.client.post(f"/experiments/{child}/fork").json()
    assert grandchild["parents"] == [child]
    with api.changing() as repository:
        arms = repository.experiments.get(grandchild["id"]).spec["arms"]
    assert [arm["start"]["epochs"] for arm in arms] == [40, 40, 50]


def test_a_key_is_used_for_one_fork_only(api: Api, spec: Spec) -> None:
    parent = posted(api, spec)
    end(api, parent, ExperimentState.SUCCEEDED)
    answers = [api.client.post(f"/experiments/{parent}/fork", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = api.client.post(f"/experiments/{parent}/fork", json={"name": "o"}, headers={"Idempotency-Key": "k"})
    assert "was used before with another body" in detail(other, 409)


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"start": {"experiment": "0" * 20}}, "start.experiment", "must name an experiment"),
        ({"start": {"arm": "ANN"}}, "start.arm", "'SDT', 'TET', 'TIT'"),
        ({"start": {"stage": 1}}, "start.stage", "must be a train stage of 'SDT': 0"),
        ({"seeds": [0, 7, 8]}, "seeds", "must be seeds at which stage 0 of 'SDT'"),
        ({"model": {"name": "vgg_small", "width": 8}}, "model", "must be that of experiment"),
        ({"start": {"experiment": "x"}}, "start.experiment", "must be"),
        ({"epoch": 3}, "epoch", "unknown key"),
    ],
)
def test_a_fork_with_an_invalid_start_is_refused_with_the_field(
    api: Api, spec: Spec, changes: Spec, field: str, says: str
) -> None:
    parent = posted(api, spec)
    end(api, parent, ExperimentState.SUCCEEDED)
    answer = api.client.post(f"/experiments/{parent}/fork", json=changes)
    assert answer.status_code == 422, answer.text
    assert any(error["field"] == field and says in error["detail"] for error in answer.json()["errors"]), answer.text
    assert len(api.client.get("/experiments").json()["experiments"]) == 1


def test_a_fork_of_an_experiment_that_has_not_ended_is_refused(api: Api, spec: Spec) -> None:
    parent = posted(api, spec)
    answer = api.client.post(f"/experiments/{parent}/fork")
    assert answer.status_code == 422
    assert "must be seeds at which stage" in answer.json()["errors"][0]["detail"]


def test_a_fork_whose_body_is_not_a_mapping_is_refused(api: Api, spec: Spec) -> None:
    parent = posted(api, spec)
    answer = api.client.post(f"/experiments/{parent}/fork", json=[1])
    assert "must be a mapping" in answer.json()["errors"][0]["detail"]


def test_a_deleted_experiment_is_not_found_at_once(api: Api, spec: Spec) -> None:
    experiment = posted(api, spec)
    assert "is queued: cancel it" in detail(api.client.delete(f"/experiments/{experiment}"), 409)
    end(api, experiment, ExperimentState.SUCCEEDED)
    assert api.client.delete(f"/experiments/{experiment}?what=checkpoints").status_code == 202
    assert api.client.get(f"/experiments/{experiment}").status_code == 200
    assert api.client.delete(f"/experiments/{experiment}").status_code == 202
    assert "there is no experiment" in detail(api.client.get(f"/experiments/{experiment}"), 404)
    assert "there is no experiment" in detail(api.client.delete(f"/experiments/{experiment}"), 404)
    assert api.client.get("/experiments").json()["experiments"] == []
    assert detail(api.client.delete(f"/experiments/{experiment}?what=all"), 422)


def test_a_key_of_an_experiment_that_is_being_deleted_is_a_conflict(api: Api, spec: Spec) -> None:
    experiment = api.post(spec, Idempotency_Key="k").json()["id"]
    end(api, experiment, ExperimentState.SUCCEEDED)
    api.client.delete(f"/experiments/{experiment}")
    assert "which is being deleted" in detail(api.post(spec, Idempotency_Key="k"), 409)


def test_a_replay_is_requested_by_chain_and_stage(api: Api, spec: Spec) -> None:
    experiment = posted(api, spec)
    chain = api.client.get(f"/experiments/{experiment}").json()["chains"][0]["id"]
    path = f"/experiments/{experiment}/verify"
    wanted = {"chain": chain, "stage": 0}
    assert "has committed no epoch" in detail(api.client.post(path, json=wanted), 409)
    end(api, experiment, ExperimentState.SUCCEEDED)
    answer = api.client.post(path, json=wanted)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/experiments/{experiment}/verifications/1"
    assert api.client.get(answer.headers["Location"]).json() == answer.json()
    assert answer.json()["state"] == "queued"
    assert "has no stage 5" in detail(api.client.post(path, json={"chain": chain, "stage": 5}), 404)
    assert "has no stage 0" in detail(api.client.post(path, json={"chain": "abc", "stage": 0}), 404)
    assert detail(api.client.post(path, json={"chain": chain}), 422)
    assert "has no verification 9" in detail(api.client.get(f"/experiments/{experiment}/verifications/9"), 404)


def test_replays_are_listed_page_by_page(api: Api, spec: Spec) -> None:
    experiment = posted(api, spec)
    end(api, experiment, ExperimentState.SUCCEEDED)
    for chain in api.client.get(f"/experiments/{experiment}").json()["chains"][:3]:
        api.client.post(f"/experiments/{experiment}/verify", json={"chain": chain["id"], "stage": 0})
    path = f"/experiments/{experiment}/verifications?limit=2"
    first = api.client.get(path).json()
    rest = api.client.get(f"{path}&cursor={first['next_cursor']}").json()
    numbers = [[each["number"] for each in page["verifications"]] for page in (first, rest)]
    assert (numbers, rest["next_cursor"]) == ([[1, 2], [3]], None)


def test_a_webhook_is_accepted_only_for_hosts_that_the_operator_allows(tmp_path: Any, spec: Spec) -> None:
    with serving_api(
        tmp_path / "home", f"sqlite:///{tmp_path / 'tet.db'}", webhook_hosts=("lab.example", "x:8443")
    ) as api:
        for path in ("/experiments", "/experiments/validate"):
            body = {**spec, "webhook": {"url": "http://169.254.169.254/latest"}}
            (fault,) = api.client.post(path, json=body).json()["errors"]
            assert fault["field"] == "webhook.url"
            assert fault["detail"].endswith("TET_WEBHOOK_HOSTS lists lab.example, x:8443")
        bad_urls = {
            "ftp://lab.example/": "must be an address of the form",
            "https://me:pw@lab.example/": "must be an address of the form",
            "https:///x": "the host '' must be a name",
            "https://lab.example:abc/": "the port 'abc' must be a number from 1 to 65535",
            "https://lab.example:99999/": "the port '99999' must be",
            "https://lab.example:-1/": "the port '-1' must be",
            "https://lab.example:\u0663/": "the port '\u0663' must be",
        }
        for bad, detail in bad_urls.items():
            answer = api.client.post("/experiments", json={**spec, "webhook": {"url": bad}})
            assert answer.status_code == 422
            (fault,) = answer.json()["errors"]
            assert fault["field"] == "webhook.url"
            assert detail in fault["detail"]
        made = posted(api, spec, webhook={"url": "https://lab.example/hook"})
        assert api.client.get(f"/experiments/{made}").json()["webhook"] == {
            "url": "https://lab.example/hook",
            "tries": 0,
            "error": "",
            "delivered_at": None,
            "next_try_at": None,
        }


def test_a_queued_experiment_shows_its_owner_and_priority(api: Api, spec: Spec) -> None:
    made = posted(api, spec, priority=7)
    view = api.client.get(f"/experiments/{made}").json()
    assert (view["owner"], view["priority"], view["generation"], view["history"]) == ("local", 7, 1, [])


def test_text_and_addresses_that_an_older_version_stored_still_open(api: Api, spec: Spec) -> None:
    made = posted(api, spec, webhook=None)
    name = "old\u202e\x1b"
    old = {"name": name, "description": "\x1b[31m", "webhook": {"url": "http://:pw@hooks.example:abc/"}}
    with api.changing() as repository:
        row = repository.experiments.get(made)
        row.name, row.spec = name, {**row.spec, **old}
    assert api.client.get(f"/experiments/{made}").json()["name"] == name
    assert api.client.get("/experiments").json()["experiments"][0]["name"] == name
    assert api.client.get(f"/experiments/{made}/comparison").status_code == 200
    answer = api.client.get("/experiments", params={"name": "old\u202e"})
    assert answer.status_code == 422
    assert "character 4 is U+202E (RIGHT-TO-LEFT OVERRIDE)" in answer.json()["errors"][0]["detail"]
