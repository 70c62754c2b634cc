"""Tests of the progress of a search in the API's answers."""

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
    """Post a search that runs: in each arm configuration 0 has succeeded, 1 was stopped and 2 has not started."""
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


def test_each_arm_shows_its_states_and_its_best_configuration(api: Api, spec: Spec) -> None:
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


def test_the_progress_of_a_search_is_only_on_the_first_page(api: Api, spec: Spec) -> None:
    experiment = searching(api, spec)
    assert search(api, experiment, limit=1) == search(api, experiment)
    assert search(api, experiment, cursor=0) is None


def test_the_expected_end_follows_from_the_work_since_the_last_start(api: Api, spec: Spec) -> None:
    experiment = searching(api, spec)
    assert search(api, experiment)["expected_end"] is None, "no start of a stretch is stored"

    def hours_left(work_at_start: int) -> float | None:
        """Return the hours until the expected end, for a stretch that started an hour ago."""
        with api.changing() as repository:
            row = repository.experiments.get(experiment)
            row.stretch_started_at, row.work_at_stretch = utc_now() - timedelta(hours=1), work_at_start
        end = search(api, experiment)["expected_end"]
        return None if end is None else (datetime.fromisoformat(end) - utc_now()).total_seconds() / 3600

    # Work is epochs x T. At each of three seeds, the three arms did 80, 80 and 40 + 20 with configuration 0, which has
    # succeeded, and 8, 8 and 4 + 8 with configuration 1, which was stopped.
    done = 3 * (80 + 80 + 60 + 8 + 8 + 12)
    left = 3 * (44 + 44 + 36)
    assert hours_left(0) == pytest.approx(left / done, rel=0.01)
    assert hours_left(done - 100) == pytest.approx(left / 100, rel=0.01)
    assert hours_left(done) is None, "no work has been done since the stretch started"
    with api.changing() as repository:
        repository.transitions.advance(experiment, ExperimentState.RUNNING, ExperimentState.PAUSING)
    assert hours_left(0) is None


def test_a_search_of_many_chains_shows_its_whole_progress(api: Api, spec: Spec) -> None:
    space = {"optimizer.lr": {"log_range": [1e-4, 1e-2]}}
    random = {"validation": 0.1, "search": {"method": "random", "num_configurations": 400, "space": space, "seed": 0}}
    answer = api.post({**spec, **random})
    assert answer.status_code == 202, answer.text
    view = answer.json()
    assert len(view["chains"]) == views.MAX_CHAINS_EMBEDDED < view["progress"]["chains_total"] == 3600
    assert [arm["states"] for arm in view["search"]["arms"]] == [{"waiting": 400}] * 3
