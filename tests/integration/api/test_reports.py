"""Tests of reports and figures over HTTP, of experiments whose chains have run on paper only."""

import csv
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.states import ExperimentState
from tests.integration.api.conftest import Api
from tests.integration.api.finished import STARTED_FROM, finish_all, weights_of
from tests.unit.service.reports.page_checks import Page, faults

Spec = dict[str, Any]
HOSTILE = "<script>alert(1)<\\script> | $x$ \\input{a}"
FORMULA = "=cmd()"


@pytest.fixture
def analysed(spec: Spec) -> Spec:
    """Return a spec with all analyses and hostile names."""
    train = {"kind": "train", "T": 4, "epochs": 3, "loss": {"name": "sdt"}}
    analyses = [{"kind": "time_sweep", "T": [1, 2]}, {"kind": "energy"}, {"kind": "landscape", "size": 5}]
    arms = [{"name": "SDT", "stages": [train, *analyses]}]
    arms += [{"name": HOSTILE, "stages": [train, train, *analyses]}, {"name": FORMULA, "stages": [train]}]
    return spec | {"arms": arms, "description": "<b>bold</b>\nand more", "name": HOSTILE}


def posted(api: Api, spec: Spec, **params: str) -> str:
    answer = api.client.post("/experiments", json=spec, params=params)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def report(api: Api, experiment_id: str, form: str) -> Any:
    answer = api.client.get(f"/experiments/{experiment_id}/report", params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer


def test_a_report_in_every_form_is_made_from_the_database_alone(gate: Api, analysed: Spec) -> None:
    experiment_id = posted(gate, analysed)
    with gate.changing() as repository:
        finish_all(repository, experiment_id, {HOSTILE: 0.02}, failed=((FORMULA, 1),))
        row = repository.experiments.get(experiment_id)
        row.spec = row.spec | {"webhook": {"url": "https://example.org/secret"}}
    page = report(gate, experiment_id, "html")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert faults(page.text) == []
    parsed = Page(page.text)
    assert parsed.all("h1")[0].text == HOSTILE
    assert len(parsed.all("figure")) == 6
    assert "secret" not in page.text
    assert page.content == report(gate, experiment_id, "html").content

    answer = report(gate, experiment_id, "json").json()
    assert "webhook" not in answer["spec"]
    assert answer["verdicts"][0].startswith(f"{HOSTILE} is better than SDT by ")
    assert [each["quantity"] for each in answer["further"]] == [
        "test/accuracy_best_test_epoch",
        "train_time_s",
        "firing_rate",
        "energy/uj_per_image",
        "time_sweep/accuracy",
    ]
    assert answer["environments"] == [{"facts": answer["environments"][0]["facts"], "num_stages": 29}]
    assert [each["num_parameters"] for each in answer["arms"]] == [12_345] * 3
    assert (answer["num_chains"], len(answer["chains"])) == (9, 8)
    last = next(each for each in answer["chains"] if each["arm"] == HOSTILE)
    assert (last["initial_sha256"], last["weights_sha256"]) == (STARTED_FROM, weights_of(HOSTILE, last["seed"], 1))
    assert {(each["arm"], each["loss"], each["n"]) for each in answer["flatness"]} == {
        (arm, loss, 3) for arm in ("SDT", HOSTILE) for loss in ("loss_sdt", "loss_tet")
    }

    rows = list(csv.DictReader(io.StringIO(report(gate, experiment_id, "csv").text)))
    assert {row["arm"] for row in rows} == {"SDT", HOSTILE, f"'{FORMULA}"}
    assert {row["T"] for row in rows if row["quantity"] == "time_sweep/accuracy"} == {"1", "2"}
    tex = report(gate, experiment_id, "tex")
    assert (tex.headers["Content-Type"], r"\textbackslash{}input\{a\}" in tex.text) == (
        "application/x-tex; charset=utf-8",
        True,
    )
    assert f'filename="script-alert-1-script-x-input-a-{experiment_id}.tex"' in tex.headers["Content-Disposition"]
    assert report(gate, experiment_id, "md").text.startswith("# \\<script\\>")


def test_each_figure_is_there_as_svg_and_png_and_others_are_not(gate: Api, analysed: Spec) -> None:
    experiment_id = posted(gate, analysed)
    missing = gate.client.get(f"/experiments/{experiment_id}/figures/losses")
    assert (missing.status_code, "its figures: none yet" in missing.json()["detail"]) == (404, True)
    with gate.changing() as repository:
        finish_all(repository, experiment_id, {})
    links = report(gate, experiment_id, "json").json()["figures"]
    assert [each["name"] for each in links] == [
        "differences",
        "learning-curves",
        "losses",
        "time-sweep",
        "energy",
        "landscape",
    ]
    for link in links[:2]:
        svg, png = (gate.client.get(link["path"], params={"format": form}) for form in ("svg", "png"))
        assert (svg.headers["Content-Type"], svg.text[:4]) == ("image/svg+xml", "<svg")
        assert (png.headers["Content-Type"], png.content[:4]) == ("image/png", b"\x89PNG")
    missing = gate.client.get(f"/experiments/{experiment_id}/figures/search")
    assert "its figures: differences, learning-curves, losses" in missing.json()["detail"]
    assert gate.client.get(f"/experiments/{experiment_id}/figures/nope").status_code == 422
    assert gate.client.get(f"/experiments/{experiment_id}/report", params={"format": "pdf"}).status_code == 422


def test_an_experiment_that_has_not_begun_has_a_report(gate: Api, spec: Spec) -> None:
    experiment_id = posted(gate, spec)
    text = report(gate, experiment_id, "html").text
    assert faults(text) == []
    assert "The experiment has not ended:" in text
    assert report(gate, experiment_id, "csv").text == "quantity,unit,T,arm,seed,value\n"
    for form in ("md", "tex", "json"):
        assert report(gate, experiment_id, form).content


def test_a_report_names_the_deviations_from_the_preset_and_the_failures(api: Api) -> None:
    experiment_id = posted(api, {"seeds": [0, 1, 2]}, preset="fig3-switch-mini")
    with api.changing() as repository:
        finish_all(repository, experiment_id, {"SDT, then TET": 0.02}, failed=(("SDT", 1),))
        for before, after in (("queued", "starting"), ("starting", "running"), ("running", "failed")):
            assert repository.transitions.advance(experiment_id, ExperimentState(before), ExperimentState(after))
    answer = report(api, experiment_id, "json").json()
    assert answer["deviations"] == [{"arm": None, "place": "seeds", "value": "[0, 1, 2]", "of_preset": "[0, 1]"}]
    assert answer["reproduces"] == "Figure 3"
    assert answer["command"] == "tet submit experiment.json --preset fig3-switch-mini --follow"
    assert [(each["type"], each["num_chains"]) for each in answer["failures"]] == [("data", 1)]
    text = report(api, experiment_id, "html").text
    for part in ("deviates from the preset fig3-switch-mini", "images/2.png: damaged", "of 3 seeds, 1 failed"):
        assert part in text
    assert "has not ended" not in text
    again = {key: value for key, value in answer["spec"].items() if key != "name"}
    assert posted(api, {"name": "again", **again}) != experiment_id


def test_the_report_of_a_large_search_is_small_and_made_in_time(gate: Api, spec: Spec) -> None:
    arms = [
        {"name": name, "stages": [{"kind": "train", "T": 4, "epochs": 100, "loss": {"name": "sdt"}}]}
        for name in ("SDT", "TET")
    ]
    space = {"optimizer.lr": {"log_range": [1e-4, 1e-1]}}
    search = {"method": "random", "num_configurations": 250, "space": space}
    optimizer = {"name": "adam", "lr": 0.1}
    experiment_id = posted(
        gate, spec | {"arms": arms, "seeds": [0, 1], "search": search, "validation": 0.1, "optimizer": optimizer}
    )
    with gate.changing() as repository:
        finish_all(repository, experiment_id, {"TET": 0.02})
    report(gate, experiment_id, "csv")  # so that neither libraries nor caches are loaded while the time is measured
    start = time.process_time()
    page = report(gate, experiment_id, "html")
    assert time.process_time() - start < 5
    assert len(page.content) < 2_000_000
    assert faults(page.text) == []
    answer = report(gate, experiment_id, "json").json()
    assert (answer["num_chains"], len(answer["chains"])) == (1000, 4)
    assert "figure-search" in page.text
    assert answer["comparison"]["arms"][0]["choice"]["num_configurations"] == 250


def test_other_requests_are_answered_while_reports_are_made_and_too_many_reports_wait(gate: Api, spec: Spec) -> None:
    experiment_id = posted(gate, spec)
    with gate.changing() as repository:
        finish_all(repository, experiment_id, {})
    address = f"/experiments/{experiment_id}/report"
    with ThreadPoolExecutor(14) as pool:
        answers = [pool.submit(gate.client.get, address, timeout=120) for _ in range(14)]
        while not all(each.done() for each in answers):
            assert gate.client.get("/healthz").status_code == 200
            time.sleep(0.05)
    statuses = {each.result().status_code for each in answers}
    assert statuses == {200, 429}
    refused = next(each.result() for each in answers if each.result().status_code == 429)
    assert "reports" in json.loads(refused.text)["detail"]
    assert refused.headers["Retry-After"] == "2"
