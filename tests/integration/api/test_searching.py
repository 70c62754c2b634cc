"""How far a search is, as the API tells it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.api.experiments import views
from service.events import utc_now
from service.states import ExperimentState, WorkState
from tests.integration.api.conftest import Api

Spec = dict[str, Any]
SPACE = {"optimizer.lr": {"choice": [0.1, 0.01, 0.001]}}
SEARCH = {"validation": 0.1, "search": {"method": "grid", "space": SPACE}}


def searching(api: Api, spec: Spec) -> str:
    """A search that runs: configuration 0 of each arm has succeeded, 1 was stopped, of 2 nothing has begun."""
    answer = api.post({**spec, **SEARCH})
    assert answer.status_code == 202, answer.text
    experiment: str = answer.json()["id"]
    with api.changing() as repository:
        for chain in repository.work.chains(experiment):
            chain.state = (WorkState.SUCCEEDED, WorkState.STOPPED, WorkState.WAITING)[chain.configuration]
            for stage in chain.stages:
                stage.epoch = (stage.epochs, 2, 0)[chain.configuration]
                stage.metrics = {"val/accuracy": 0.5 + 0.1 * chain.seed} if stage.epoch else {}
                stage.train_time_s = float(stage.epoch)
        repository.transitions.advance(experiment, ExperimentState.QUEUED, ExperimentState.STARTING)
        repository.transitions.advance(experiment, ExperimentState.STARTING, ExperimentState.RUNNING)
    return experiment


def search(api: Api, experiment: str, **params: Any) -> Any:
    return api.client.get(f"/experiments/{experiment}", params=params).json()["search"]


def test_each_arm_tells_its_states_and_its_best(api: Api, spec: Spec) -> None:
    experiment = searching(api, spec)
    view = api.client.get(f"/experiments/{experiment}").json()
    assert (view["search"]["method"], view["search"]["early_stopping"]) == ("grid", None)
    sdt, _, tit = view["search"]["arms"]
    own = [chain for chain in view["chains"] if chain["arm"] == "SDT"]
    best = [chain for chain in own if chain["state"] == "succeeded"]
    assert (sdt["name"], sdt["num_configurations"]) == ("SDT", 3)
    assert sdt["states"] == {"succeeded": 1, "stopped": 1, "waiting": 1}
    assert sdt["train_time_s"] == 3 * (20 + 2)
    assert tit["train_time_s"] == 3 * (25 + 4)
    assert sdt["best"] == {
        "configuration": best[0]["configuration"],
        "val_accuracy": pytest.approx(0.6),
        "complete": True,
        "chains": [chain["id"] for chain in best],
    }


def test_it_is_told_on_the_first_page_of_any_length_alone(api: Api, spec: Spec) -> None:
    experiment = searching(api, spec)
    assert search(api, experiment, limit=1) == search(api, experiment)
    assert search(api, experiment, cursor=0) is None


def test_the_end_is_told_by_what_was_done_since_it_was_started_last(api: Api, spec: Spec) -> None:
    experiment = searching(api, spec)
    assert search(api, experiment)["expected_end"] is None, "it ran before there were stretches"

    def told(work_then: int) -> float | None:
        """Hours from now, of a stretch that began an hour ago."""
        with api.changing() as repository:
            row = repository.experiments.get(experiment)
            row.stretch_started_at, row.work_at_stretch = utc_now() - timedelta(hours=1), work_then
        end = search(api, experiment)["expected_end"]
        return None if end is None else (datetime.fromisoformat(end) - utc_now()).total_seconds() / 3600

    # Of three seeds: 80, 80 and 40 + 20 epochs x T to the end, 8, 8 and 4 + 8 until they were stopped.
    done = 3 * (80 + 80 + 60 + 8 + 8 + 12)
    left = 3 * (44 + 44 + 36)
    assert told(0) == pytest.approx(left / done, rel=0.01)
    assert told(done - 100) == pytest.approx(left / 100, rel=0.01)
    assert told(done) is None, "nothing has been done since"
    with api.changing() as repository:
        repository.transitions.advance(experiment, ExperimentState.RUNNING, ExperimentState.PAUSING)
    assert told(0) is None


def test_a_search_tells_how_far_it_is_whatever_its_size(api: Api, spec: Spec) -> None:
    space = {"optimizer.lr": {"log_range": [1e-4, 1e-2]}}
    random = {"validation": 0.1, "search": {"method": "random", "num_configurations": 400, "space": space, "seed": 0}}
    answer = api.post({**spec, **random})
    assert answer.status_code == 202, answer.text
    view = answer.json()
    assert len(view["chains"]) == views.MAX_CHAINS_EMBEDDED < view["progress"]["chains_total"] == 3600
    assert [arm["states"] for arm in view["search"]["arms"]] == [{"waiting": 400}] * 3
