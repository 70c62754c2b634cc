"""Tests that the report and the figures of a driver are those of the API, byte for byte."""

import json
from typing import Any

import pytest

from service.events import Outcome
from service.runner.shipping.described_experiment import DescribedExperiment
from service.runner.shipping.final_files import FORMS, final_files
from service.runner.shipping.final_report import FinalReport, Posted
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.spec import parse
from service.states import ExperimentState
from tests.integration.api.conftest import Api
from tests.integration.api.run_on_storage import RunOnStorage

Spec = dict[str, Any]
TRAIN = {"kind": "train", "T": 4, "epochs": 3, "loss": {"name": "sdt"}}
ANALYSES = [{"kind": "time_sweep", "T": [1, 2]}, {"kind": "energy"}, {"kind": "landscape", "size": 5}]
ADAM = {"name": "adam", "lr": 0.1}
# Each with an experiment, the chains that fail, and those that do not end.
CASES: dict[str, tuple[Spec, ExperimentState, tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]] = {
    "all analyses": ({}, ExperimentState.SUCCEEDED, (), ()),
    "a failed chain": ({"margin": 0.01}, ExperimentState.FAILED, (("TET", 1),), (("TET", 2),)),
    "cancelled": ({"validation": 0.1}, ExperimentState.CANCELLED, (), (("TET", 0), ("SDT", 2))),
    "nothing to show": (
        {},
        ExperimentState.CANCELLED,
        (),
        tuple((arm, seed) for arm in ("SDT", "TET") for seed in (0, 1, 2)),
    ),
}


def posted(api: Api, body: Spec, **params: str) -> RunOnStorage:
    answer = api.client.post("/experiments", json=body, params=params)
    assert answer.status_code == 202, answer.text
    return RunOnStorage(api, str(answer.json()["id"]))


def expect_equal(api: Api, run: RunOnStorage, outcome: Outcome) -> dict[str, bytes]:
    """Check that the files of a driver are the answers of the API; return the files."""
    ledger, resampler = run.end(outcome)
    runs = MlflowRuns("http://127.0.0.1:9", run.id, "unused")
    page = DescribedExperiment(parse(json.loads(run.folder.spec.read_bytes())), ledger, resampler, runs, {})
    known = Posted(run.preset, run.created_at, run.created_at)
    report = FinalReport(run.folder, known, ledger, resampler, runs, page)
    files, missing = final_files(report.content(outcome))
    assert missing == []
    for form in FORMS:
        answer = api.client.get(f"/experiments/{run.id}/report", params={"format": form})
        assert answer.content.decode() == files[f"report.{form}"].decode()
    links = api.client.get(f"/experiments/{run.id}/report", params={"format": "json"}).json()["figures"]
    for link in links:
        for kind in ("svg", "png"):
            answer = api.client.get(link["path"], params={"format": kind})
            assert answer.content == files[f"figures/{link['name']}.{kind}"]
    assert len(files) == len(FORMS) + 2 * len(links)
    return files


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_a_driver_are_the_answers_of_the_api(gate: Api, spec: Spec, case: str) -> None:
    changes, state, failed, unfinished = CASES[case]
    arms = [{"name": name, "stages": [TRAIN, *ANALYSES]} for name in ("SDT", "TET")]
    run = posted(gate, spec | {"arms": arms, "description": "<b>what for</b>"} | changes)
    run.train(failed, unfinished)
    outcome = Outcome(state=state, reason="" if state is ExperimentState.SUCCEEDED else "why it ended")
    files = expect_equal(gate, run, outcome)
    page = files["report.html"].decode()
    assert f"{state}, started " in page
    assert ("images/2.png: damaged" in page) == bool(failed)
    assert ("1 failed" in page, "cancelled" in page) == (bool(failed), bool(unfinished))
    has_results = case != "nothing to show"
    assert ("figures/landscape.png" in files, "figures/differences.svg" in files) == (has_results, has_results)


def test_a_search_a_growing_experiment_and_a_preset_have_the_same_report_too(gate: Api, spec: Spec) -> None:
    arms = [{"name": name, "stages": [TRAIN]} for name in ("SDT", "TET")]
    search = {"method": "random", "num_configurations": 4, "space": {"optimizer.lr": {"log_range": [1e-4, 1e-1]}}}
    run = posted(gate, spec | {"arms": arms, "search": search, "validation": 0.1, "optimizer": ADAM})
    run.train()
    assert "figures/search.svg" in expect_equal(gate, run, Outcome(state=ExperimentState.SUCCEEDED))
    until = {"first": 0, "at_most": 6, "until": "decided"}
    run = posted(gate, spec | {"arms": arms, "seeds": until, "margin": 0.05})
    run.train(failed=(("TET", 5),))
    assert "figures/differences.svg" in expect_equal(gate, run, Outcome(state=ExperimentState.SUCCEEDED))
    run = posted(gate, {"seeds": [0, 1, 2]}, preset="fig3-switch-mini")
    run.train()
    files = expect_equal(gate, run, Outcome(state=ExperimentState.SUCCEEDED))
    assert "deviates from the preset fig3-switch-mini" in files["report.html"].decode()
