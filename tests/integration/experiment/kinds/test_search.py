"""Tests of searches on a real stack: comparison, early stopping, failures and several goals."""

import json
from statistics import fmean

import pytest

from service.plan import plan
from service.spec import parse
from service.storage import ExperimentFolder
from tests.integration.experiment.conftest import SPEC, TET, ask, run_to_end
from tests.local_stack import END_S, Json, LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(4 * END_S)]

SPACE = {"optimizer.lr": {"log_range": [1e-5, 1e-2]}, "arms.TET.loss.lamb": {"choice": [0.0, 0.5]}}
ARMS = [
    {"name": "SDT", "stages": [{"kind": "train", "T": 1, "epochs": 1, "loss": {"name": "sdt"}}]},
    {"name": "TET", "stages": [{"kind": "train", "T": 1, "epochs": 1, "loss": TET}]},
]
# Many short trials, for which the start of the processes takes most of the time.
SEARCH = {"method": "random", "num_configurations": 3, "seed": 1, "space": SPACE}


def test_arms_are_compared_at_their_best_configurations_on_the_validation_set(stack: LocalStack) -> None:
    changes = {"name": "search", "arms": ARMS, "baseline": "SDT", "seeds": [0, 1], "validation": 0.2, "search": SEARCH}
    body = SPEC | changes
    validated = ask(stack, "POST", "/experiments/validate", 200, body)
    assert (validated["num_chains"], validated["num_trials"]) == (12, 12)
    answer = stack.post(body)
    assert answer.status_code == 202, answer.text
    finished = run_to_end(stack, answer.json()["id"])
    planned = {chain.id: dict(chain.hyperparameters) for chain in plan(parse(body))}
    assert {chain["id"]: chain["configuration"] for chain in finished.chains} == planned

    validation: dict[tuple[str, str], list[float]] = {}
    for chain in finished.chains:
        key = chain["arm"], json.dumps(chain["configuration"], sort_keys=True)
        validation.setdefault(key, []).append(chain["stages"][-1]["metrics"]["val/accuracy"])
    compared = stack.get(f"/experiments/{finished.id}/comparison")
    for arm in compared["arms"]:
        means = {key[1]: fmean(each) for key, each in validation.items() if key[0] == arm["name"]}
        choice = arm["choice"]
        assert (arm["n"], choice["num_configurations"]) == (2, 3)
        assert choice["val_accuracy"] == max(means.values())
        assert means[json.dumps(choice["configuration"], sort_keys=True)] == max(means.values())

    for run in finished.runs():
        if "tet.stage" not in run.data.tags:
            drawn = json.loads(run.data.tags["tet.configuration"])
            within = {place.removeprefix("arms.TET."): str(value) for place, value in drawn.items()}
            assert {f"search.{place}": value for place, value in within.items()}.items() <= run.data.params.items()
            assert run.data.params["optimizer.lr"] == str(drawn["optimizer.lr"])

    rerun = ask(stack, "POST", f"/experiments/{finished.id}/rerun-best", body={"seeds": [7]})
    measured = run_to_end(stack, rerun["id"])
    assert {(chain["arm"], chain["seed"]) for chain in measured.chains} == {("SDT", 7), ("TET", 7)}
    chosen = {arm["name"]: arm["choice"]["configuration"] for arm in compared["arms"]}
    for run in measured.runs():
        assert run.data.params["optimizer.lr"] == str(chosen[run.data.tags["tet.arm"]]["optimizer.lr"])
        assert "tet.configuration" not in run.data.tags


def test_a_search_that_learns_stops_bad_configurations_and_gives_the_reason(stack: LocalStack) -> None:
    arm = {"name": "TET", "stages": [{"kind": "train", "T": 1, "epochs": 3, "loss": TET}]}
    search = {"method": "tpe", "num_configurations": 5, "space": {"optimizer.lr": {"log_range": [1e-5, 3e-2]}}}
    body = SPEC | {
        "name": "asha",
        "arms": [arm],
        "baseline": "TET",
        "seeds": [0, 1],
        "validation": 0.2,
        "search": search,
        "early_stopping": {"name": "asha", "grace_epochs": 1, "reduction_factor": 2},
    }
    answer = stack.post(body)
    assert answer.status_code == 202, answer.text
    view = run_to_end(stack, answer.json()["id"])
    by_configuration: dict[float, list[Json]] = {}
    for chain in view.chains:
        by_configuration.setdefault(chain["configuration"]["optimizer.lr"], []).append(chain)
    assert [len(chains) for chains in by_configuration.values()] == [2] * 5
    for chains in by_configuration.values():
        states = {chain["state"] for chain in chains}
        assert states in ({"succeeded"}, {"stopped"})  # the same for all seeds of a configuration
        for chain in chains:
            assert chain["stages"][0]["state"] == chain["state"]
            if chain["state"] == "stopped":
                assert "on validation is number" in chain["reason"]
                assert chain["stages"][0]["epoch"] in (1, 2)
    num_stopped = sum(chains[0]["state"] == "stopped" for chains in by_configuration.values())
    assert num_stopped >= 1
    [progress] = view.view["search"]["arms"]
    assert progress["states"] == {"succeeded": 5 - num_stopped, "stopped": num_stopped}
    [compared] = stack.get(f"/experiments/{view.id}/comparison")["arms"]
    assert progress["best"]["configuration"] == compared["choice"]["configuration"]
    assert progress["best"]["complete"]

    runs = [run for run in view.runs() if "tet.stage" not in run.data.tags]
    reasons = {run.data.tags["tet.chain"]: run.data.tags.get("tet.stopped", "") for run in runs}
    assert reasons == {chain["id"]: chain["reason"] for chain in view.chains}
    assert {run.info.status for run in runs if "tet.stopped" in run.data.tags} == {"KILLED"}
    drawn = {run.data.tags["tet.chain"]: json.loads(run.data.tags["tet.configuration"]) for run in runs}
    assert drawn == {chain["id"]: chain["configuration"] for chain in view.chains}
    assert all("val/accuracy" in run.data.metrics for run in runs)


def test_a_configuration_that_breaks_down_is_stopped_with_the_diagnosis(stack: LocalStack) -> None:
    arm = {"name": "TET", "stages": [{"kind": "train", "T": 1, "epochs": 3, "loss": TET}]}
    body = SPEC | {
        # Weights of bn start at 1. Those of tdbn start at the threshold, so the threshold would not matter.
        "name": "dying",
        "model": {"name": "vgg_small", "width": 8, "norm": {"name": "bn"}},
        "arms": [arm],
        "baseline": "TET",
        "seeds": [*range(5)],
        "validation": 0.2,
        "limits": {"health": {}},
        "search": {"method": "grid", "space": {"neuron.v_threshold": {"choice": [1.0, 100.0]}}},
    }
    answer = stack.post(body)
    assert answer.status_code == 202, answer.text
    view = run_to_end(stack, answer.json()["id"])
    assert view.view["state"] == "succeeded"
    for chain in view.chains:
        if chain["configuration"]["neuron.v_threshold"] == 1:
            assert (chain["state"], chain["reason"]) == ("succeeded", "")
        else:
            assert chain["state"] == "stopped"
            assert "failed: health: layer features.0.lif is silent" in chain["reason"]
    # Two trials run at once. The other chains are stopped before they start, although Tune holds their trials ready.
    folder = ExperimentFolder(stack.settings.storage, view.id)
    broken = [folder.stage(chain["id"], 0) for chain in view.chains if chain["state"] == "stopped"]
    assert len(broken) == 5
    assert sum(len(stage.attempt_numbers()) for stage in broken) <= 2


def test_with_two_goals_the_comparison_has_the_front(stack: LocalStack) -> None:
    arm = {"name": "TET", "stages": [{"kind": "train", "T": 2, "epochs": 1, "loss": TET}]}
    space = {"arms.TET.T": {"choice": [1, 2]}, "optimizer.lr": {"choice": [1e-6, 1e-3]}}
    search = {"method": "grid", "space": space, "goal": ["val/accuracy", "val/energy_j"]}
    body = SPEC | {
        "name": "goals",
        "arms": [arm],
        "baseline": "TET",
        "seeds": [0, 1],
        "validation": 0.2,
        "search": search,
    }
    answer = stack.post(body)
    assert answer.status_code == 202, answer.text
    view = run_to_end(stack, answer.json()["id"])
    metrics: dict[str, list[Json]] = {}
    for chain in view.chains:
        metrics.setdefault(json.dumps(chain["configuration"]), []).append(chain["stages"][-1]["metrics"])
    front = stack.get(f"/experiments/{view.id}/comparison")["front"]
    assert front["goal"] == "val/energy_j"
    points = {
        key: tuple(fmean(each[name] for each in of_seeds) for name in ("val/accuracy", "val/energy_j"))
        for key, of_seeds in metrics.items()
    }
    best = {
        key
        for key, (accuracy, energy) in points.items()
        if not any(a >= accuracy and e <= energy and (a, e) != (accuracy, energy) for a, e in points.values())
    }
    assert {json.dumps(point["configuration"]) for point in front["points"]} == best
    for point in front["points"]:
        assert (point["val_accuracy"], point["cost"]) == pytest.approx(points[json.dumps(point["configuration"])])
        assert len(point["chains"]) == 2
    printed = stack.tet("compare", view.id)
    assert "the front: val/energy_j against val/accuracy" in printed
