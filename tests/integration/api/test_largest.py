"""Tests of the budgets of a plan in the API's answers: posts, forks, retries and the view of a long experiment."""

from typing import Any

import pytest

from service.api.experiments import views
from service.reasons import failed
from service.states import ExperimentState, WorkState
from tests.integration.api.conftest import Api
from tests.unit.service.spec.test_spec import train

Spec = dict[str, Any]
SPACE = {"optimizer.lr": {"range": [0.1, 0.9], "points": 70}, "surrogate.gamma": {"range": [0.1, 0.9], "points": 70}}


@pytest.mark.parametrize("path", ["/experiments", "/experiments/validate"])
@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"seeds": list(range(3_400))}, "TET_MAX_CHAINS"),
        ({"arms": [{"name": "SDT", "stages": [train()] * 100}], "seeds": list(range(201))}, "TET_MAX_STAGES"),
        (
            {
                "arms": [{"name": "SDT", "stages": [train()] * 100}],
                "validation": 0.1,
                "search": {"method": "grid", "space": SPACE},
            },
            "TET_MAX_CONFIGURED_STAGES",
        ),
    ],
)
def test_a_spec_beyond_a_budget_is_refused(api: Api, spec: Spec, path: str, changes: Spec, setting: str) -> None:
    answer = api.client.post(path, json={**spec, **changes})
    assert answer.status_code == 422, answer.text
    assert any(setting in error["detail"] for error in answer.json()["errors"])
    assert api.client.get("/experiments").json()["experiments"] == []


def test_a_fork_beyond_a_budget_is_refused_and_a_retry_of_a_stored_experiment_is_not(api: Api, spec: Spec) -> None:
    parent = api.post(spec).json()["id"]
    with api.changing() as repository:
        for chain in repository.work.chains(parent):
            chain.state = WorkState.SUCCEEDED
            for stage in chain.stages:
                stage.state = WorkState.SUCCEEDED
        stored = repository.experiments.get(parent)
        # An earlier version could have stored such a large spec.
        stored.spec = {**stored.spec, "seeds": list(range(30_000))}
        repository.transitions.advance(
            parent, ExperimentState.QUEUED, ExperimentState.FAILED, reason=failed("1 chain failed")
        )
    answer = api.client.post(f"/experiments/{parent}/fork", json={})
    assert answer.status_code == 422, answer.text
    assert "TET_MAX_CHAINS" in answer.json()["errors"][0]["detail"]
    assert api.client.post(f"/experiments/{parent}/retry").status_code == 202
    assert api.client.get(f"/experiments/{parent}/comparison").status_code == 200


def test_a_page_of_an_experiment_holds_a_limited_number_of_stages(api: Api, spec: Spec) -> None:
    arms = [{"name": "SDT", "stages": [train()] * 100}]
    posted = api.post({**spec, "arms": arms, "seeds": list(range(40))}).json()
    assert len(posted["chains"]) * 100 == views.MAX_STAGES_EMBEDDED
    last = api.client.get(f"/experiments/{posted['id']}", params={"cursor": posted["next_cursor"]}).json()
    assert len(last["chains"]) == 10
    assert last["next_cursor"] is None
