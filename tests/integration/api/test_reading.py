from pathlib import Path
from typing import Any

import pytest

from service.api.experiments import logs
from service.failures import ABOUT, Failure, FailureType
from service.reasons import failed
from service.states import ExperimentState
from service.storage import ExperimentFolder
from service.store.repository import Repository
from tests.integration.api.conftest import Api
from tests.routes import READ_OF_ONE

Spec = dict[str, Any]
E = ExperimentState


def post(api: Api, spec: Spec, **changes: Any) -> str:
    answer = api.post(spec | changes)
    assert answer.status_code == 202
    return str(answer.json()["id"])


def bring(repository: Repository, experiment_id: str, *states: E) -> None:
    for before, after in zip([E.QUEUED, *states[:-1]], states, strict=True):
        assert repository.transitions.advance(experiment_id, before, after)


def test_experiments_are_listed_newest_first_page_by_page(api: Api, spec: Spec) -> None:
    made = [post(api, spec, name=f"number {number}") for number in range(5)]
    seen, cursor = [], None
    for _ in range(3):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.client.get("/experiments", params=params).json()
        seen.append([experiment["id"] for experiment in page["experiments"]])
        cursor = page["next_cursor"]
    assert seen == [[made[4], made[3]], [made[2], made[1]], [made[0]]]
    assert cursor is None


def test_experiments_are_filtered_by_state_and_name(api: Api, spec: Spec) -> None:
    first, second = post(api, spec, name="TIT 100%"), post(api, spec, name="tit 1000")
    with api.changing() as repository:
        bring(repository, second, E.STARTING, E.RUNNING)

    def found(**params: str) -> list[str]:
        return [item["id"] for item in api.client.get("/experiments", params=params).json()["experiments"]]

    assert found(state="running") == [second]
    assert found(name="TIT") == [second, first]
    assert found(name="100%") == [first]
    assert found(name="100%", state="running") == []


def test_a_running_experiment_shows_each_stage_and_links_to_see_more(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec)
    metrics = {"test/accuracy": 0.95, "train/loss": 0.1}
    with api.changing() as repository:
        assert repository.transitions.advance(
            experiment_id, E.QUEUED, E.STARTING, driver_attempt=1, mlflow_experiment_id="7", mlflow_view="tet-arms"
        )
        chain = repository.work.chains(experiment_id, limit=1)[0]
        chain.state = "running"
        stage = repository.work.stage(experiment_id, chain.id, 0)
        assert stage is not None
        stage.state, stage.epoch, stage.metrics, stage.attempts = "running", 3, metrics, 1
    body = api.client.get(f"/experiments/{experiment_id}").json()
    assert body["state"] == "starting"
    assert body["links"] == {
        "mlflow": "http://127.0.0.1:5000/#/experiments/7/runs"
        "?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=tet-arms",
        "ray": f"http://127.0.0.1:9/#/jobs/tet-{experiment_id}-1",
        "is_ray_job_gone": False,
    }
    shown = body["chains"][0]["stages"][0]
    assert (shown["state"], shown["epoch"], shown["metrics"], shown["attempts"]) == ("running", 3, metrics, 1)


def test_no_link_leads_to_a_job_that_ray_has_forgotten(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec)
    with api.changing() as repository:
        assert repository.transitions.advance(
            experiment_id, E.QUEUED, E.STARTING, driver_attempt=1, ray_session="before"
        )
        repository.transitions.forget_jobs("before")
    links = api.client.get(f"/experiments/{experiment_id}").json()["links"]
    assert (links["ray"] is None, links["is_ray_job_gone"]) == (False, False)
    with api.changing() as repository:
        repository.transitions.forget_jobs("after")
    links = api.client.get(f"/experiments/{experiment_id}").json()["links"]
    assert (links["ray"], links["is_ray_job_gone"]) == (None, True)


def test_a_failure_is_shown_with_its_stage_its_experiment_and_its_generation(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec)
    failure = Failure.of(FailureType.DATA, "images/2.png: damaged", kind="DataError", trace="Traceback ...")
    with api.changing() as repository:
        stage = repository.work.stage(experiment_id, repository.work.chains(experiment_id, limit=1)[0].id, 0)
        assert stage is not None
        stage.state, stage.failure = "failed", failure.as_json()
        assert repository.transitions.advance(
            experiment_id, E.QUEUED, E.FAILED, reason=failed("1 failed"), failure=failure.summary.as_json()
        )
    body = api.client.get(f"/experiments/{experiment_id}").json()
    assert body["chains"][0]["stages"][0]["failure"] == failure.as_json()
    assert (body["reason"], body["reason_kind"]) == ("1 failed", "failed")
    assert body["failure"] == {"type": "data", "class": "user", "message": "images/2.png: damaged"}
    assert api.client.get("/experiments").json()["experiments"][0]["failure"] == body["failure"]
    (group,) = body["failures"]
    assert group == body["failure"] | {
        "num_chains": 1,
        "chain": body["chains"][0]["id"],
        "remedy": "repair_or_new_spec",
        "advice": ABOUT[FailureType.DATA].advice,
    }
    again = api.client.post(f"/experiments/{experiment_id}/retry").json()
    assert (again["failure"], again["failures"], again["history"][0]["failure"]) == (None, [], body["failure"])


def test_at_most_a_thousand_chains_are_embedded_and_the_rest_come_by_cursor(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec, seeds=list(range(400)))
    first = api.client.get(f"/experiments/{experiment_id}").json()
    assert (len(first["chains"]), first["next_cursor"]) == (1000, "999")
    rest = api.client.get(f"/experiments/{experiment_id}", params={"cursor": first["next_cursor"]}).json()
    assert (len(rest["chains"]), rest["next_cursor"]) == (200, None)
    assert len({chain["id"] for chain in first["chains"] + rest["chains"]}) == 1200
    # The progress of all chains is on the first page only.
    assert rest["progress"] == dict.fromkeys(first["progress"]) | {"stages_done": 0, "stages_total": 1600}
    assert first["progress"] == {
        "stages_done": 0,
        "stages_total": 1600,
        "chains_total": 1200,
        "epochs_done": 0,
        "epochs_total": 26_000,
        "rows_done": 0,
        "rows_total": 0,
        "work_done": 0,
        "work_total": 400 * (80 + 80 + 40 + 20),
    }
    [listed] = api.client.get("/experiments").json()["experiments"]
    assert listed["progress"] == {"stages_done": 0, "stages_total": 1600}


def test_a_queued_experiment_can_be_cancelled_again_and_again(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec)
    for _ in range(2):
        assert api.client.post(f"/experiments/{experiment_id}/cancel").status_code == 202
    with api.database.reading() as repository:
        assert repository.experiments.get(experiment_id).wanted == "cancel"
        assert len(repository.events.list_after(experiment_id)) == 2
    with api.changing() as repository:
        bring(repository, experiment_id, E.CANCELLED)
    again = api.client.post(f"/experiments/{experiment_id}/cancel")
    assert (again.status_code, again.json()["state"]) == (202, "cancelled")


def test_an_experiment_is_paused_and_resumed_again_and_again(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec)
    for act, wanted in (("pause", "pause"), ("pause", "pause"), ("resume", "run"), ("resume", "run")):
        assert api.client.post(f"/experiments/{experiment_id}/{act}").status_code == 202
        with api.database.reading() as repository:
            assert repository.experiments.get(experiment_id).wanted == wanted
    with api.changing() as repository:
        bring(repository, experiment_id, E.STARTING, E.RUNNING, E.SUCCEEDED)
    for act in ("pause", "resume"):
        answer = api.client.post(f"/experiments/{experiment_id}/{act}")
        assert (answer.status_code, f"has succeeded and cannot be {act}d" in answer.json()["detail"]) == (409, True)
        assert api.client.post(f"/experiments/{'0' * 20}/{act}").status_code == 404


@pytest.mark.parametrize("end", [E.SUCCEEDED, E.FAILED])
def test_an_experiment_that_has_ended_cannot_be_cancelled(api: Api, spec: Spec, end: E) -> None:
    experiment_id = post(api, spec)
    with api.changing() as repository:
        bring(repository, experiment_id, E.STARTING, E.RUNNING, end)
    answer = api.client.post(f"/experiments/{experiment_id}/cancel")
    assert answer.status_code == 409
    assert end in answer.json()["detail"]


@pytest.mark.parametrize("experiment_id", ["0" * 20, "nope", "%00", "..%2f..", "a" * 500, "%ed%a0%80"])
@pytest.mark.parametrize("rest", READ_OF_ONE)
def test_an_unknown_experiment_is_answered_with_404(gate: Api, experiment_id: str, rest: str) -> None:
    answer = gate.client.get(
        f"/experiments/{experiment_id}{rest.replace('{number}', '1').replace('{figure}', 'losses')}"
    )
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def finish(repository: Repository, experiment_id: str, accuracies: dict[tuple[str, int], float]) -> None:
    """Let chains succeed, with these accuracies at their last stages."""
    for chain in repository.work.chains(experiment_id):
        accuracy = accuracies.get((chain.arm, chain.seed))
        if accuracy is not None:
            chain.state = "succeeded"
            for stage in chain.stages:
                row = repository.work.stage(experiment_id, chain.id, stage.index)
                assert row is not None
                row.metrics = {"test/accuracy": accuracy if stage is chain.stages[-1] else 0.1, "test/loss": 1.0}
                row.train_time_s = 2.0


def test_arms_are_compared_by_the_chains_that_have_succeeded(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec)
    with api.changing() as repository:
        accuracies = {("SDT", 0): 0.90, ("SDT", 1): 0.92, ("TIT", 0): 0.93, ("TIT", 1): 0.93, ("TIT", 2): 0.99}
        finish(repository, experiment_id, accuracies)
    body = api.client.get(f"/experiments/{experiment_id}/comparison").json()
    assert body["baseline"] == "SDT"
    sdt, tet, tit = body["arms"]
    assert (sdt["name"], sdt["n"], sdt["n_wanted"], sdt["versus_baseline"]) == ("SDT", 2, 3, None)
    assert sdt["values"] == [{"seed": 0, "value": 0.90}, {"seed": 1, "value": 0.92}]
    assert (sdt["mean"], sdt["train_time_s"]) == (pytest.approx(0.91), 2.0)
    assert (tet["n"], tet["mean"], tet["std"], tet["train_time_s"]) == (0, None, None, None)
    assert (tit["n"], tit["train_time_s"]) == (3, 4.0)
    versus = tit["versus_baseline"]
    assert (versus["n"], versus["difference"], versus["reason"]) == (2, pytest.approx(0.02), None)
    assert versus["low"] < 0.02 < versus["high"]
    assert [each["seed"] for each in versus["differences"]] == [0, 1]
    assert versus["missing"] == [{"arm": "SDT", "state": "waiting", "failure": None, "seeds": [2]}]
    assert tet["versus_baseline"]["reason"].startswith("no seed has a result in both arms: TET is waiting at seeds 0")
    assert [arm["chance"] for arm in body["arms"]] == [None] * 3
    assert body["quantity"] == "test/accuracy"


def test_a_comparison_of_survivors_names_the_lost_seeds_and_the_results_at_chance(api: Api, spec: Spec) -> None:
    experiment_id = post(api, spec)
    with api.changing() as repository:
        finish(repository, experiment_id, {("SDT", 1): 0.0958, ("TET", 1): 0.9, ("TET", 2): 0.92})
        for chain in repository.work.chains(experiment_id):
            if chain.state != "succeeded":
                chain.state = "failed"
            for stage in chain.stages:
                row = repository.work.stage(experiment_id, chain.id, stage.index)
                assert row is not None
                row.test_set = {"num_samples": 355, "num_classes": 10, "num_majority": 37}
                if chain.state == "failed":
                    row.failure = Failure.of(FailureType.NOT_FINITE, "the loss is nan").as_json()
    body = api.client.get(f"/experiments/{experiment_id}/comparison").json()
    sdt, tet, tit = body["arms"]
    assert [(arm["n"], arm["n_wanted"], arm["num_failed"]) for arm in (sdt, tet, tit)] == [
        (1, 3, 2),
        (2, 3, 1),
        (0, 3, 3),
    ]
    assert [arm["chance"] and arm["chance"]["verdict"] for arm in (sdt, tet, tit)] == ["alike", "above", None]
    assert tet["versus_baseline"]["differences"] == [{"seed": 1, "value": pytest.approx(0.9 - 0.0958)}]
    assert "SDT: of 3 seeds, 2 failed; its numbers are over the survivors, seed 1" in body["notes"]
    over = "TET minus SDT: over seed 1 only, where the means are 90.00 and 9.58 %"
    assert any(note.startswith(over) for note in body["notes"])
    assert body["notes"][-1].startswith("SDT: 9.58 % cannot be distinguished from chance, 10.42 %")
    chains = api.client.get(f"/experiments/{experiment_id}").json()["chains"]
    verdicts = {(c["arm"], c["seed"]): (c["stages"][-1]["chance"] or {}).get("verdict") for c in chains}
    assert (verdicts["SDT", 1], verdicts["TET", 1], verdicts["TIT", 0]) == ("alike", "above", None)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def log(api: Api, experiment_id: str, **params: Any) -> str:
    answer = api.client.get(f"/experiments/{experiment_id}/logs", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    return answer.text


def test_the_newest_log_of_the_driver_or_of_a_stage_is_read(gate: Api, spec: Spec) -> None:
    experiment_id = post(gate, spec)
    folder = ExperimentFolder(gate.settings.storage, experiment_id)
    chain = gate.client.get(f"/experiments/{experiment_id}").json()["chains"][2]["id"]
    write(folder.driver_log(1), "old\n")
    write(folder.driver_log(2), "new\n")
    write(folder.stage(chain, 0).trial_log(1), "first try\n")
    write(folder.stage(chain, 0).trial_log(2), "second try\n")
    assert log(gate, experiment_id) == "new\n"
    assert log(gate, experiment_id, chain=chain) == "second try\n"
    write(folder.stage(chain, 1).trial_log(1), "next stage\n")
    assert log(gate, experiment_id, chain=chain) == "next stage\n"
    assert log(gate, experiment_id, chain=chain, stage=0) == "second try\n"


def test_logs_are_read_by_cursor_from_the_first_to_the_last(gate: Api, spec: Spec) -> None:
    experiment_id = post(gate, spec)
    path = f"/experiments/{experiment_id}/logs"
    folder = ExperimentFolder(gate.settings.storage, experiment_id)
    long = "x" * (logs.PAGE_BYTES + 7)
    write(folder.driver_log(2), long)  # the first driver was never started
    write(folder.driver_log(4), "new\n")
    cursor, text = "0.1.0", ""
    for _ in range(3):
        answer = gate.client.get(path, params={"cursor": cursor})
        cursor, text = answer.headers["X-Next-Cursor"], text + answer.text
    assert (text, cursor) == (long + "new\n", "0.4.4")
    answer = gate.client.get(path, params={"cursor": cursor})
    assert (answer.text, answer.headers["X-Next-Cursor"]) == ("", cursor)
    with folder.driver_log(4).open("a") as file:
        file.write("more\n")
    assert log(gate, experiment_id, cursor=cursor) == "more\n"
    assert gate.client.get(path).headers["X-Next-Cursor"] == "0.4.9"


@pytest.mark.parametrize("cursor", ["0.2.0", "0.1.5", "1.1.0"])
def test_a_cursor_that_belongs_to_no_log_is_not_found(gate: Api, spec: Spec, cursor: str) -> None:
    experiment_id = post(gate, spec)
    write(ExperimentFolder(gate.settings.storage, experiment_id).driver_log(1), "1234")
    answer = gate.client.get(f"/experiments/{experiment_id}/logs", params={"cursor": cursor})
    assert answer.status_code == 404
    assert f"cursor={cursor}: must be the X-Next-Cursor" in answer.json()["detail"]


@pytest.mark.parametrize("ending", ["\n", ""])
@pytest.mark.parametrize(("tail", "first"), [(0, None), (1, 39_999), (3, 39_997), (30_000, 10_000), (50_000, 0)])
def test_the_last_lines_of_a_log_can_be_read(gate: Api, spec: Spec, tail: int, first: int | None, ending: str) -> None:
    experiment_id = post(gate, spec)
    lines = [f"line {number}" for number in range(40_000)]
    write(ExperimentFolder(gate.settings.storage, experiment_id).driver_log(1), "\n".join(lines) + ending)
    expected = "" if first is None else "\n".join(lines[first:]) + ending
    assert log(gate, experiment_id, tail=tail) == expected


def test_a_missing_log_is_not_found(gate: Api, spec: Spec) -> None:
    experiment_id = post(gate, spec)
    chain = gate.client.get(f"/experiments/{experiment_id}").json()["chains"][0]["id"]
    for params, detail in [
        ({}, "the driver has written no log yet"),
        ({"chain": chain}, f"chain {chain} has written no log yet"),
        ({"chain": chain, "stage": 1}, f"chain {chain} has the stages 0 to 0, and no stage 1"),
        ({"chain": "abc"}, f"experiment {experiment_id} has no chain 'abc'"),
    ]:
        answer = gate.client.get(f"/experiments/{experiment_id}/logs", params=params)
        assert (answer.status_code, answer.json()["detail"]) == (404, detail)


def test_a_path_in_place_of_a_chain_is_refused(gate: Api, spec: Spec) -> None:
    experiment_id = post(gate, spec)
    answer = gate.client.get(f"/experiments/{experiment_id}/logs", params={"chain": "../../../etc"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "query.chain"


def test_a_stage_without_a_chain_is_refused(gate: Api, spec: Spec) -> None:
    experiment_id = post(gate, spec)
    answer = gate.client.get(f"/experiments/{experiment_id}/logs", params={"stage": 0})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("query.stage", 0)
    assert error["detail"].startswith("needs the parameter chain too")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=1000", "query.limit"),
        ("state=done", "query.state"),
        ("cursor=x", "query.cursor"),
        ("name=%00", "query.name"),
        ("name=" + "x" * 81, "query.name"),
    ],
)
def test_a_faulty_query_is_refused_with_its_field(gate: Api, query: str, field: str) -> None:
    answer = gate.client.get(f"/experiments?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_unknown_page_cursor_is_refused(gate: Api) -> None:
    answer = gate.client.get(f"/experiments?cursor={'0' * 20}")
    assert answer.status_code == 422
    assert "next_cursor" in answer.json()["detail"]
