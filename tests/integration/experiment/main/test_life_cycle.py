"""Tests on a real stack: a fork and a replay give the same bits as one long training; a deletion leaves nothing."""

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from service.storage import ExperimentFolder
from tests.integration.experiment.conftest import TET, Finished, ask, run_to_end, until
from tests.local_stack import END_S, Json, LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(4 * END_S)]

TIT_ONLY: Json = {
    "name": "TIT's second stage, from TIT's first",
    "arms": [{"name": "TIT", "stages": [{"kind": "train", "T": 4, "epochs": 2, "loss": TET}]}],
    "baseline": "TIT",
    "start": {"stage": 0},
    "retention": {"checkpoints": "none"},
}


def stage_of(finished: Finished, arm: str, seed: int, index: int) -> tuple[str, Json]:
    chain = next(each for each in finished.chains if (each["arm"], each["seed"]) == (arm, seed))
    return chain["id"], chain["stages"][index]


def test_a_fork_equals_the_longer_chain_and_its_parent_cannot_be_deleted(stack: LocalStack, finished: Finished) -> None:
    created = ask(stack, "POST", f"/experiments/{finished.id}/fork", body=TIT_ONLY)
    assert created["parents"] == [finished.id]
    refused = ask(stack, "DELETE", f"/experiments/{finished.id}", status=409)
    assert f"cannot be removed, because {created['id']} started from it: delete these first" in refused["detail"]

    forked = run_to_end(stack, created["id"])
    for seed in (0, 1, 2):
        _, parent_stage = stage_of(finished, "TIT", seed, 1)
        _, forked_stage = stage_of(forked, "TIT", seed, 0)
        assert forked_stage["weights_sha256"] == parent_stage["weights_sha256"]
        assert forked.series()["TIT", seed, 0] == finished.series()["TIT", seed, 1]
    check_checkpoints_go_at_the_end(stack, forked)
    check_deletion_leaves_nothing(stack, forked)


def check_checkpoints_go_at_the_end(stack: LocalStack, forked: Finished) -> None:
    deadline = time.monotonic() + 60
    while stack.get(f"/experiments/{forked.id}")["checkpoints_removed_at"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    folder = ExperimentFolder(stack.settings.storage, forked.id).path
    assert list(folder.rglob("*.pt")) == []
    assert len(list(folder.rglob("commits/*.json"))) == 6
    chain, _ = stage_of(forked, "TIT", 0, 0)
    refused = ask(stack, "POST", f"/experiments/{forked.id}/verify", 409, {"chain": chain, "stage": 0})
    assert "its checkpoints have been removed" in refused["detail"]
    refused = ask(stack, "POST", f"/experiments/{forked.id}/fork", 422, TIT_ONLY)
    assert refused["errors"][0]["detail"] == "must have its checkpoints; they have been removed"


def check_deletion_leaves_nothing(stack: LocalStack, forked: Finished) -> None:
    mlflow_id = forked.view["links"]["mlflow"].split("/experiments/")[1].split("/")[0]
    ask(stack, "DELETE", f"/experiments/{forked.id}")
    ask(stack, "GET", f"/experiments/{forked.id}", status=404)
    folder = ExperimentFolder(stack.settings.storage, forked.id)
    client, deadline = MlflowClient(stack.settings.mlflow_url), time.monotonic() + 60
    while client.get_experiment(mlflow_id).lifecycle_stage != "deleted":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert mlflow_id in {each.experiment_id for each in client.search_experiments(view_type=ViewType.DELETED_ONLY)}
    assert not folder.path.exists()
    assert list((folder.storage / "trash").iterdir()) == []


def test_a_replay_equals_the_journal_and_differs_from_a_changed_journal(stack: LocalStack, finished: Finished) -> None:
    chain, _ = stage_of(finished, "TIT", 0, 1)
    commit = ExperimentFolder(stack.settings.storage, finished.id).stage(chain, 1).commits / "000002.json"
    true = commit.read_bytes()
    assert replayed(stack, finished, chain)["state"] == "equal"
    tampered(commit, true)
    try:
        verification = replayed(stack, finished, chain)
    finally:
        commit.write_bytes(true)
    assert verification["state"] == "different"
    assert verification["result"]["first_difference"]["what"] == "weights_sha256"
    assert verification["result"]["first_difference"]["step"] == 2
    assert len(stack.get(f"/experiments/{finished.id}/verifications?limit=1")["verifications"]) == 1


def tampered(commit: Path, true: bytes) -> None:
    """Change one digit of the weights' hash in a commit."""
    start = true.index(b'"weights_sha256": "') + len(b'"weights_sha256": "')
    digit = b"0" if true[start : start + 1] != b"0" else b"1"
    commit.write_bytes(true[:start] + digit + true[start + 1 :])


def replayed(stack: LocalStack, finished: Finished, chain: str) -> Json:
    created = ask(stack, "POST", f"/experiments/{finished.id}/verify", body={"chain": chain, "stage": 1})
    path = f"/experiments/{finished.id}/verifications/{created['number']}"
    return until(stack, path, "state", {"equal", "different", "failed"})
