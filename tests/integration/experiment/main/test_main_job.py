"""Tests of one experiment in the API, in MLflow and in Ray's dashboard, from its post to its end."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.integration.experiment.conftest import IN_NEW_PROCESSES, KEY, SPEC, Finished, run_to_end
from tests.local_stack import END_S, LocalStack
from tet_core.measure.metric_names import OF_AN_EPOCH, TIMES

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(4 * END_S)]


def test_the_same_key_gives_the_same_experiment_and_another_body_a_conflict(finished: Finished) -> None:
    again = finished.stack.post(SPEC, **{"Idempotency-Key": KEY})
    assert (again.status_code, again.json()["id"]) == (202, finished.id)
    assert again.headers["Location"].endswith(f"/experiments/{finished.id}")
    other = finished.stack.post(SPEC | {"seeds": [0]}, **{"Idempotency-Key": KEY})
    assert other.status_code == 409
    assert other.headers["Content-Type"] == "application/problem+json"


def test_while_an_experiment_runs_its_running_stages_show_epoch_and_accuracy(finished: Finished) -> None:
    assert finished.early["state"] == "running"
    assert 0 < finished.early["progress"]["epochs_done"] < finished.early["progress"]["epochs_total"]
    chains = [chain for chain in finished.early["chains"] if chain["stages"][0]["epoch"]]
    assert chains
    for chain in chains:
        stage = chain["stages"][0]
        assert stage["epochs"] == (6 if stage["T"] == 4 else 4)
        assert 0 < stage["epoch"] <= stage["epochs"]
        if stage["epoch"] < stage["epochs"]:
            assert (chain["state"], stage["state"]) == ("running", "running")
        assert 0 <= stage["metrics"]["test/accuracy"] <= 1


def test_nine_chains_and_twelve_stages_succeed(finished: Finished) -> None:
    assert finished.view["progress"].items() >= {"stages_done": 12, "stages_total": 12}.items()
    assert len(finished.chains) == 9
    stages = [stage for chain in finished.chains for stage in chain["stages"]]
    assert len(stages) == 12
    assert {stage["state"] for stage in stages} == {"succeeded"}
    assert all(stage["epoch"] == stage["epochs"] and stage["attempts"] == 1 for stage in stages)


def test_the_comparison_pairs_the_arms(finished: Finished) -> None:
    compared = finished.stack.get(f"/experiments/{finished.id}/comparison")
    assert compared["baseline"] == "SDT"
    by_name = {arm["name"]: arm for arm in compared["arms"]}
    finals = {
        name: [
            {"seed": c["seed"], "value": c["stages"][-1]["metrics"]["test/accuracy"]}
            for c in finished.chains
            if c["arm"] == name
        ]
        for name in by_name
    }
    for name, arm in by_name.items():
        assert (arm["n"], arm["n_wanted"], arm["values"]) == (3, 3, finals[name])
        assert arm["chance"]["num_samples"] == 355
        assert arm["train_time_s"] > 0
    versus = by_name["TET"]["versus_baseline"]
    assert versus["n"] == 3
    assert versus["difference"] == pytest.approx(by_name["TET"]["mean"] - by_name["SDT"]["mean"])
    assert versus["low"] <= versus["difference"] <= versus["high"]


def test_no_chain_waits_for_the_first_stages_of_all_others(finished: Finished) -> None:
    children = [run for run in finished.runs() if "tet.stage" in run.data.tags]
    seconds = [run for run in children if run.data.tags["tet.stage"] == "1"]
    assert len(seconds) == 3
    for run in seconds:
        other_firsts = [
            other.info.end_time
            for other in children
            if other.data.tags["tet.stage"] == "0" and other.data.tags["tet.chain"] != run.data.tags["tet.chain"]
        ]
        if run.info.start_time < max(other_firsts):
            return
    pytest.fail("each chain's second stage started only after the first stages of all other chains")


def test_a_second_stage_starts_from_the_last_weights_of_the_first_one(finished: Finished) -> None:
    children = [run.data.tags for run in finished.runs() if "tet.stage" in run.data.tags]
    tags = {(of["tet.chain"], of["tet.stage"]): of for of in children}
    hashes = [
        (tags[chain, "0"]["tet.weights_sha256"], tags[chain, "1"]["tet.initial_sha256"])
        for chain, stage in tags
        if stage == "1"
    ]
    assert len(hashes) == 3
    assert all(ended == started for ended, started in hashes)


def test_at_one_seed_all_arms_start_from_equal_weights(finished: Finished) -> None:
    firsts = [run.data.tags for run in finished.runs() if run.data.tags.get("tet.stage") == "0"]
    by_seed = {seed: {t["tet.initial_sha256"] for t in firsts if t["tet.seed"] == seed} for seed in ("0", "1", "2")}
    assert [len(hashes) for hashes in by_seed.values()] == [1, 1, 1]
    assert len(set.union(*by_seed.values())) == 3


def test_mlflow_has_a_parent_for_each_chain_and_a_child_for_each_stage(finished: Finished) -> None:
    runs = finished.runs()
    parents = [run for run in runs if "tet.stage" not in run.data.tags]
    children = [run for run in runs if "tet.stage" in run.data.tags]
    assert (len(parents), len(children)) == (9, 12)
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert run.data.tags["tet.experiment"] == finished.id
        assert run.data.tags.keys() >= {"tet.arm", "tet.seed", "tet.chain"}
    chain_runs = {run.data.tags["tet.chain"]: run.info.run_id for run in parents}
    for run in children:
        tags = run.data.tags
        assert tags["tet.stage_key"] == f"{finished.id}/{tags['tet.chain']}/{tags['tet.stage']}"
        assert tags["tet.attempt"] == "1"
        assert tags["mlflow.parentRunId"] == chain_runs[tags["tet.chain"]]
        assert run.data.params["loss.name"] in ("sdt", "tet")
        assert [d.dataset.name for d in run.inputs.dataset_inputs] == ["digits"]
        assert len(run.outputs.model_outputs) == 1
    for run in parents:
        assert run.data.metrics.keys() == {*OF_AN_EPOCH} - {*TIMES} | {"test/accuracy_best_test_epoch", "train_time_s"}


def test_every_child_has_exactly_one_point_for_each_epoch(finished: Finished) -> None:
    for run in finished.runs():
        if "tet.stage" in run.data.tags:
            steps = [p.step for p in finished.mlflow.get_metric_history(run.info.run_id, "test/accuracy")]
            assert steps == list(range(1, int(run.data.params["epochs"]) + 1))
            for key in ("train/loss", "test/loss", "test/loss_sdt", "test/loss_tet", "epoch_time_s", "samples_per_s"):
                assert len(finished.mlflow.get_metric_history(run.info.run_id, key)) == len(steps)


def test_the_last_checkpoint_evaluated_alone_gives_the_logged_accuracy(finished: Finished, tmp_path: Path) -> None:
    from tet_core import evaluate

    children = [run for run in finished.runs() if "tet.stage" in run.data.tags]
    for run in children[::4]:
        file = finished.mlflow.download_artifacts(run.info.run_id, "checkpoints/last.pt", str(tmp_path))
        metrics = evaluate(Path(file))
        assert metrics["test/accuracy"] == run.data.metrics["test/accuracy"]
        assert metrics["test/loss"] == run.data.metrics["test/loss"]
        assert "checkpoints/best_test_epoch.pt" in {
            artifact.path for artifact in finished.mlflow.list_artifacts(run.info.run_id, "checkpoints")
        }


# Loads a logged model and answers for the digits of the test set; prints the share that is right.
LOADING = """
import sys
import mlflow.pyfunc
import numpy as np
images, names = np.load("images.npy"), np.load("names.npy")
print(float((mlflow.pyfunc.load_model(f"models:/{sys.argv[1]}").predict(images)["class"] == names).mean()))
"""


def test_a_logged_model_answers_in_a_process_without_the_data(finished: Finished, tmp_path: Path) -> None:
    from tet_core import load_dataset

    run = next(run for run in finished.runs() if "tet.stage" in run.data.tags)
    test = load_dataset("digits").test
    np.save(tmp_path / "images.npy", test.take(torch.arange(len(test))).permute(0, 2, 3, 1).numpy())
    np.save(tmp_path / "names.npy", test.labels.numpy().astype(str))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"MLFLOW_TRACKING_URI": finished.mlflow.tracking_uri, "TET_DATA": str(tmp_path / "nowhere")}
    command = [sys.executable, "-c", LOADING, run.outputs.model_outputs[0].model_id]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == run.data.metrics["test/accuracy"]


def test_the_dashboard_lists_the_job_and_names_the_steps_of_every_trial(finished: Finished) -> None:
    jobs = [job for job in finished.stack.ray("/api/jobs/") if job["submission_id"] == f"tet-{finished.id}-1"]
    assert [(job["metadata"]["experiment"], job["metadata"]["name"]) for job in jobs] == [(finished.id, SPEC["name"])]
    filters = f"filter_keys=job_id&filter_predicates=%3D&filter_values={jobs[0]['job_id']}"
    tasks = finished.stack.ray(f"/api/v0/tasks?{filters}&detail=1&limit=10000")["data"]["result"]["result"]
    # A step for each epoch, and one that ends the stage.
    steps = {
        f"{c['arm']} · seed {c['seed']} · stage {i} of {len(c['stages'])} · T={each['T']}": each["epochs"] + 1
        for c in finished.chains
        for i, each in enumerate(c["stages"], start=1)
    }
    # Two slots, and one process in each of them.
    named = [task for task in tasks if task["name"] in steps]
    assert Counter(task["name"] for task in named) == steps
    assert len({task["actor_id"] for task in named}) == 2


def test_the_jobs_log_says_how_far_the_experiment_is_and_ends_with_the_arms(finished: Finished) -> None:
    job = f"tet-{finished.id}-1"
    assert finished.stack.ray(f"/api/jobs/{job}")["status"] == "SUCCEEDED"
    log = finished.stack.ray(f"/api/jobs/{job}/logs")["logs"]
    assert "Number of trials" not in log
    done = [int(epochs) for epochs in re.findall(r"INFO (\d+)/54 epochs; \d/9 chains succeeded; ", log)]
    assert len(done) > 1
    assert done == sorted(done)
    assert re.search(r"INFO TIT: test accuracy [\d.]+ % ± [\d.]+ \(n=3 of 3\)", log)


def test_the_link_to_mlflow_asks_for_the_view_of_the_arms(finished: Finished) -> None:
    assert finished.view["links"]["mlflow"].endswith("&compareRunsMode=CHART&viewStateShareKey=tet-arms")
    number = finished.view["links"]["mlflow"].split("/experiments/")[1].split("/")[0]
    tags = finished.mlflow.get_experiment(number).tags
    assert "mlflow.sharedViewState.tet-arms" in tags
    assert "| TIT | 3 of 3 | " in tags["mlflow.note.content"]


def test_a_trials_log_has_a_line_for_each_epoch_in_the_dashboard_and_in_the_api(finished: Finished) -> None:
    label = "TIT · seed 1 · stage 2 of 2 · T=4"
    job = next(j["job_id"] for j in finished.stack.ray("/api/jobs/") if j["submission_id"] == f"tet-{finished.id}-1")
    filters = f"filter_keys=name&filter_predicates=%3D&filter_values={label}"
    tasks = finished.stack.ray(f"/api/v0/tasks?{filters}&detail=1")["data"]["result"]["result"]
    actor = next(task["actor_id"] for task in tasks if task["job_id"] == job)
    log = finished.stack.ray(f"/api/v0/logs/file?actor_id={actor}&format=text&lines=1000&suffix=out")
    line = re.compile(rf"{re.escape(label)}: epoch (\d)/2: train loss [\d.]+, test loss .*test accuracy [\d.]+%")
    assert line.findall(log) == ["1", "2"]
    chain = next(c["id"] for c in finished.chains if (c["arm"], c["seed"]) == ("TIT", 1))
    with finished.stack.http as http:
        assert line.findall(http.get(f"/experiments/{finished.id}/logs?chain={chain}&stage=1").text) == ["1", "2"]


@pytest.mark.long
def test_two_runs_of_one_spec_are_equal_in_new_and_in_reused_processes(stack: LocalStack, finished: Finished) -> None:
    again = run_to_end(stack, stack.post(IN_NEW_PROCESSES).json()["id"])
    assert again.id != finished.id
    assert again.hashes() == finished.hashes()
    assert again.series() == finished.series()
