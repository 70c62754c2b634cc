"""Tests of the API's answers to requests for a search's best configurations over new seeds."""

from typing import Any

import pytest

from service.reasons import failed
from service.states import ExperimentState, WorkState
from tests.integration.api.conftest import Api

Spec = dict[str, Any]
LRS = {"SDT": 0.02, "TET": 0.01, "TIT": 0.02}
SPACE = {"optimizer.lr": {"choice": [0.01, 0.02]}, "arms.TET.loss.lamb": {"choice": [0.1, 0.2]}}
SEARCH = {"validation": 0.1, "search": {"method": "grid", "space": SPACE}}


def searched(api: Api, spec: Spec, *, failing: tuple[str, ...] = (), **changes: Any) -> str:
    """Post and end a search: each arm is best at its own learning rate, and at lamb = 0.2 if it has a lamb."""
    answer = api.post({**spec, **SEARCH, **changes})
    assert answer.status_code == 202, answer.text
    experiment: str = answer.json()["id"]
    with api.changing() as repository:
        for chain in repository.work.chains(experiment):
            values = chain.hyperparameters
            is_best = values["optimizer.lr"] == LRS[chain.arm] and values.get("arms.TET.loss.lamb", 0.2) == 0.2
            chain.state = WorkState.FAILED if chain.arm in failing else WorkState.SUCCEEDED
            for stage in chain.stages:
                stage.state, stage.epoch = chain.state, stage.epochs
                # The test set would choose otherwise.
                stage.metrics = {"val/accuracy": 0.9 if is_best else 0.5, "test/accuracy": 0.3 if is_best else 0.8}
        state = ExperimentState.FAILED if failing else ExperimentState.SUCCEEDED
        repository.transitions.advance(experiment, ExperimentState.QUEUED, state, reason=failed("1 chain failed"))
    return experiment


def rerun(api: Api, experiment: str, body: Any, **headers: str) -> Any:
    own = {key.replace("_", "-"): value for key, value in headers.items()}
    return api.client.post(f"/experiments/{experiment}/rerun-best", json=body, headers=own)


def detail(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: str = answer.json()["detail"]
    return found


def test_if_every_configuration_lost_a_seed_all_answers_show_the_same_best(api: Api, spec: Spec) -> None:
    space = {"optimizer.lr": {"choice": [0.01, 0.02, 0.03]}}
    answer = api.post({**spec, "validation": 0.1, "search": {"method": "grid", "space": space}})
    assert answer.status_code == 202, answer.text
    parent: str = answer.json()["id"]
    # The accuracies of each learning rate at the seeds 0, 1 and 2; None stands for a failed chain.
    accuracies = {0.01: (0.99, None, None), 0.02: (0.8, None, 0.8), 0.03: (None, 0.7, 0.7)}
    with api.changing() as repository:
        for chain in repository.work.chains(parent):
            accuracy = accuracies[chain.hyperparameters["optimizer.lr"]][chain.seed]
            chain.state = WorkState.FAILED if accuracy is None else WorkState.SUCCEEDED
            for stage in chain.stages:
                stage.state, stage.epoch = chain.state, stage.epochs
                stage.metrics = {"val/accuracy": accuracy or 1.0, "test/accuracy": 0.5}
        repository.transitions.advance(
            parent, ExperimentState.QUEUED, ExperimentState.FAILED, reason=failed("1 chain failed")
        )
    searches = api.client.get(f"/experiments/{parent}").json()["search"]["arms"]
    compared = api.client.get(f"/experiments/{parent}/comparison").json()["arms"]
    chosen = {"optimizer.lr": 0.02}
    assert [arm["best"]["configuration"] for arm in searches] == [chosen] * 3
    assert [(arm["best"]["val_accuracy"], arm["best"]["complete"]) for arm in searches] == [(0.8, False)] * 3
    assert [(arm["choice"]["configuration"], arm["choice"]["val_accuracy"]) for arm in compared] == [(chosen, 0.8)] * 3
    made = rerun(api, parent, {"seeds": [10]})
    assert made.status_code == 202, made.text
    with api.changing() as repository:
        assert repository.experiments.get(made.json()["id"]).spec["optimizer"]["lr"] == 0.02


def test_each_arm_is_measured_in_the_configuration_that_the_comparison_shows(api: Api, spec: Spec) -> None:
    parent = searched(api, spec)
    answer = rerun(api, parent, {"seeds": [10, 11, 12, 13], "train_part": 0.5})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/experiments/{made['id']}"
    assert (made["state"], made["name"]) == ("queued", "digits: SDT, TET, TIT (best)")
    assert [(chain["arm"], chain["seed"]) for chain in made["chains"]] == [
        (arm, seed) for seed in (10, 11, 12, 13) for arm in LRS
    ]
    assert all(chain["configuration"] == {} for chain in made["chains"])
    with api.changing() as repository:
        stored = repository.experiments.get(made["id"]).spec
    assert "search" not in stored
    assert (stored["validation"], stored["train_part"], stored["baseline"]) == (0.1, 0.5, "SDT")
    lrs = {arm["name"]: arm.get("optimizer", stored.get("optimizer", {})).get("lr") for arm in stored["arms"]}
    chosen = {arm["name"]: arm["choice"] for arm in api.client.get(f"/experiments/{parent}/comparison").json()["arms"]}
    assert lrs == {name: choice["configuration"]["optimizer.lr"] for name, choice in chosen.items()} == LRS
    assert stored["arms"][1]["stages"][0]["loss"]["lamb"] == 0.2


def test_a_rerun_names_its_search_which_may_be_deleted(api: Api, spec: Spec) -> None:
    parent = searched(api, spec)
    made = rerun(api, parent, {"seeds": [10]}).json()
    assert (made["rerun_of"], made["parents"]) == (parent, [])
    assert api.client.delete(f"/experiments/{parent}").status_code == 202
    assert api.client.get(f"/experiments/{made['id']}").json()["rerun_of"] == parent
    assert "there is no experiment" in detail(rerun(api, parent, {"seeds": [11]}), 404)


def test_a_rerun_may_measure_some_of_the_arms(api: Api, spec: Spec) -> None:
    parent = searched(api, spec)
    made = rerun(api, parent, {"seeds": [10], "arms": ["TIT", "TET"], "name": "two of three"}).json()
    assert ([chain["arm"] for chain in made["chains"]], made["name"]) == (["TET", "TIT"], "two of three")
    assert api.client.get(f"/experiments/{made['id']}/comparison").json()["baseline"] == "TET"


def test_a_key_gives_the_same_rerun_even_after_the_search_is_deleted(api: Api, spec: Spec) -> None:
    parent = searched(api, spec)
    made = [rerun(api, parent, {"seeds": [10]}, Idempotency_Key="k").json()["id"] for _ in range(2)]
    other = rerun(api, parent, {"seeds": [11]}, Idempotency_Key="k")
    assert "was used before with another body" in detail(other, 409)
    api.client.delete(f"/experiments/{parent}")
    assert {*made, rerun(api, parent, {"seeds": [10]}, Idempotency_Key="k").json()["id"]} == {made[0]}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"seeds": [10, 2, 1]}, "seeds", "must be none of the search's own seeds"),
        ({"seeds": [10, 10]}, "seeds[1]", "must differ from all other seeds"),
        ({"seeds": [10], "arms": ["SDT", "ANN"]}, "arms[1]", "must be the name of an arm of experiment"),
        ({"seeds": []}, "body.seeds", "at least 1 item"),
        ({}, "body.seeds", "required"),
        ({"seeds": [-1]}, "body.seeds[0]", "greater than or equal to 0"),
        ({"seeds": [10], "name": "a/b"}, "body.name", "must hold no '/'"),
        ({"seeds": [10], "epochs": 3}, "body.epochs", "not permitted"),
    ],
)
def test_an_invalid_rerun_is_refused_with_its_field(api: Api, spec: Spec, body: Spec, field: str, says: str) -> None:
    answer = rerun(api, searched(api, spec), body)
    assert answer.status_code == 422, answer.text
    assert any(error["field"] == field and says in error["detail"] for error in answer.json()["errors"]), answer.text
    assert len(api.client.get("/experiments").json()["experiments"]) == 1


def test_arms_with_different_networks_are_measured_separately(api: Api, spec: Spec) -> None:
    space = {"model.width": {"choice": [4, 8]}, **SPACE}
    parent = searched(api, spec, search={"method": "grid", "space": space})
    with api.changing() as repository:
        for chain in repository.work.chains(parent):
            right = chain.hyperparameters["model.width"] == (8 if chain.arm == "TIT" else 4)
            chain.stages[-1].metrics = chain.stages[-1].metrics | {"val/accuracy": 0.9 if right else 0.1}
    answer = rerun(api, parent, {"seeds": [10]})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["field"], "model.width is 4 in 'SDT' and 8 in 'TIT'" in fault["detail"]) == ("arms", True)
    for arms, width in ((["SDT", "TET"], 4), (["TIT"], 8)):
        made = rerun(api, parent, {"seeds": [10], "arms": arms}).json()["id"]
        with api.changing() as repository:
            assert repository.experiments.get(made).spec["model"]["width"] == width


def test_a_rerun_of_an_experiment_without_a_search_is_refused(api: Api, spec: Spec) -> None:
    experiment = api.post(spec).json()["id"]
    assert "has no search, so nothing was chosen" in detail(rerun(api, experiment, {"seeds": [10]}), 409)


def test_a_rerun_of_a_search_that_has_not_ended_is_refused(api: Api, spec: Spec) -> None:
    experiment = api.post({**spec, **SEARCH}).json()["id"]
    message = detail(rerun(api, experiment, {"seeds": [10]}), 409)
    assert "is queued: its best configurations are not known until" in message


def test_an_arm_without_a_result_may_be_left_out(api: Api, spec: Spec) -> None:
    parent = searched(api, spec, failing=("TIT",))
    message = detail(rerun(api, parent, {"seeds": [10]}), 409)
    assert message.endswith(
        "has no result for 'TIT', because no chain of the arm has succeeded; name the other arms in `arms`"
    )
    assert rerun(api, parent, {"seeds": [10], "arms": ["SDT", "TET"]}).status_code == 202
