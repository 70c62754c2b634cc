"""Tests of one attempt at one stage, with the calls that Tune makes."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from service.runner.chains.board import StageId
from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import read_progress
from service.runner.trial.config import TrialConfig
from service.runner.trial.trainable import StageTrial
from service.sample_bits import read_sample_bits
from service.storage import StageFolder
from tet_core import checkpoint as checkpoints
from tet_core import train_epochs
from tet_core.config import TrainConfig

TRAIN = {
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 2},
    "T": 1,
    "epochs": 3,
    "loss": {"name": "sdt"},
    "batch_size": 512,
    "seed": 3,
}


def config(path: Path, **changes: Any) -> dict[str, Any]:
    train = TRAIN | changes.pop("train", {})
    analysis = changes.pop("analysis", None)
    values: dict[str, Any] = {
        "experiment_id": "e",
        "chain_id": "c",
        "label": "SDT · seed 3 · stage 1 of 1 · T=1",
        "arm": "SDT",
        "seed": 3,
        "stage_index": 0,
        "stage_path": str(path),
        "previous_stage_path": None,
        "kind": analysis["kind"] if analysis else "train",
        "config": {"train": train, "analysis": analysis} if analysis else train,
        "data_root": None,
        "demand": {"CPU": 1},
    }
    return TrialConfig(**(values | changes)).as_dict()


def run(trial: StageTrial, steps: int = 100) -> list[dict[str, Any]]:
    """Step until the trial is done, at most `steps` times; return its reports."""
    reports: list[dict[str, Any]] = []
    while len(reports) < steps and not (reports and reports[-1]["done"]):
        reports.append(trial.step())
    return reports


def series(folder: StageFolder) -> list[tuple[int, str, dict[str, float]]]:
    """Return the epoch, weights and metrics of each commit, without the metrics that measure time."""
    return [
        (c.epoch, c.weights_sha256, {k: v for k, v in c.metrics.items() if not k.endswith("_s")})
        for c in read_progress(folder).commits
    ]


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "0")


def test_each_step_commits_an_epoch_and_the_last_step_ends_the_stage(folder: StageFolder) -> None:
    reports = run(StageTrial(config(folder.path)))
    assert [(report["epoch"], report["end"]) for report in reports] == [
        (1, None),
        (2, None),
        (3, None),
        (3, "succeeded"),
    ]
    progress = read_progress(folder)
    assert progress.done is not None
    assert [commit.epoch for commit in progress.commits] == [1, 2, 3]
    assert (progress.started[0].attempt, progress.started[0].dataset["name"]) == (1, "digits")
    assert progress.last is not None
    model = checkpoints.load_checkpoint(folder.attempt(1) / "model.pt")
    assert checkpoints.weights_sha256(model) == progress.last.weights_sha256


def test_the_last_commit_names_the_bits_of_the_test_samples(folder: StageFolder) -> None:
    trial = StageTrial(config(folder.path))
    run(trial, steps=2)
    assert read_sample_bits(folder) is None
    run(trial)
    progress = read_progress(folder)
    assert progress.last is not None
    assert progress.last.sample_bits == "attempts/0001/sample-bits-000003.json"
    bits = read_sample_bits(folder)
    assert bits is not None
    *_, last = train_epochs(TrainConfig.model_validate(TRAIN))
    assert bits.digest == progress.started[0].dataset["digest"]
    assert bits.values.tolist() == last.is_correct.tolist()
    assert bits.values.mean() == progress.last.metrics["test/accuracy"]


def test_an_arm_may_have_any_name(folder: StageFolder) -> None:
    label = "TIT 2→4 · seed 3 · stage 1 of 1 · T=1"
    assert run(StageTrial(config(folder.path, arm="TIT 2→4", label=label)))[-1]["end"] == "succeeded"


def test_the_repr_of_a_trial_names_arm_seed_stage_and_steps(folder: StageFolder) -> None:
    assert repr(StageTrial(config(folder.path))) == "SDT · seed 3 · stage 1 of 1 · T=1"


def test_only_the_last_and_the_best_checkpoint_are_kept(folder: StageFolder) -> None:
    run(StageTrial(config(folder.path, train={"epochs": 5})))
    assert len(list(folder.attempts.glob("*/epoch-*.pt"))) <= 2
    progress = read_progress(folder)
    assert progress.last is not None
    assert progress.checkpoint(progress.last).exists()


def test_a_second_attempt_continues_to_the_bits_of_an_undisturbed_one(folder: StageFolder, tmp_path: Path) -> None:
    alone = StageFolder(tmp_path / "alone")
    run(StageTrial(config(alone.path)))
    run(StageTrial(config(folder.path)), steps=1)  # and then it is killed
    (folder.attempt(1) / "epoch-000002.pt").write_bytes(b"half a check")
    reports = run(StageTrial(config(folder.path)))
    assert reports[0]["epoch"] == 2
    assert series(folder) == series(alone)
    assert read_progress(folder).num_attempts == 2


def test_an_attempt_at_a_stage_whose_epochs_are_all_committed_only_ends_it(folder: StageFolder) -> None:
    run(StageTrial(config(folder.path)), steps=3)
    assert [report["end"] for report in run(StageTrial(config(folder.path)))] == ["succeeded"]


@pytest.mark.parametrize("is_zombie", [False, True])
def test_a_stage_has_one_model_if_an_attempt_was_killed_or_frozen_while_it_ended(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch, is_zombie: bool
) -> None:
    """The first attempt writes the model. It dies before its marker, or continues when its successor has ended."""
    finish = Attempt.finish

    def interrupted(attempt: Attempt, **values: Any) -> Any:
        if attempt.number > 1:
            return finish(attempt, **values)
        if is_zombie:
            run(StageTrial(config(folder.path)))
            return finish(attempt, **values)
        raise KeyboardInterrupt

    monkeypatch.setattr(Attempt, "finish", interrupted)
    with nullcontext() if is_zombie else pytest.raises(KeyboardInterrupt):
        run(StageTrial(config(folder.path)))
    if not is_zombie:
        assert (folder.attempt(1) / "model.pt").exists()
        assert run(StageTrial(config(folder.path)))[-1]["end"] == "succeeded"
    assert list(folder.attempts.glob("*/model.pt")) == [folder.attempt(2) / "model.pt"]


def test_an_attempt_at_a_stage_that_has_ended_does_not_change_the_model(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver takes the first attempt for lost and starts another one before it sees the marker."""
    run(StageTrial(config(folder.path)))
    assert run(StageTrial(config(folder.path)))[-1]["end"] == "lost"
    assert list(folder.attempts.glob("*/model.pt")) == [folder.attempt(1) / "model.pt"]
    # The result is the same if the older attempt links its marker a moment before the newer one does.
    other = StageFolder(folder.path.with_name("other"))
    first, calls = StageTrial(config(other.path)), []
    run(first, steps=3)

    def overtake(attempt: Attempt) -> None:
        calls.append(attempt.number)
        if len(calls) == 2:  # the second attempt has started to end the stage
            monkeypatch.setattr(Attempt, "check_newest", lambda attempt: None)
            assert run(first)[-1]["end"] == "succeeded"
            assert len(list(other.attempts.glob("*/model.pt"))) == 2

    second = StageTrial(config(other.path))
    monkeypatch.setattr(Attempt, "check_newest", overtake)
    run(second)
    assert list(other.attempts.glob("*/model.pt")) == [other.attempt(1) / "model.pt"]
    done = read_progress(other).done
    assert done is not None
    assert done.attempt == 1


def test_a_second_stage_starts_from_the_weights_of_the_first_stage(folder: StageFolder, tmp_path: Path) -> None:
    run(StageTrial(config(folder.path)))
    after = StageFolder(tmp_path / "1")
    run(StageTrial(config(after.path, previous_stage_path=str(folder.path), train={"T": 2, "epoch_offset": 3})))
    last = read_progress(folder).last
    assert last is not None
    assert read_progress(after).started[0].initial_sha256 == last.weights_sha256


def test_a_superseded_attempt_stops(folder: StageFolder) -> None:
    trial = StageTrial(config(folder.path))
    trial.step()
    Attempt(folder)
    report = trial.step()
    assert (report["done"], report["end"]) == (True, "lost")
    assert len(read_progress(folder).commits) == 1


@pytest.mark.parametrize(
    ("train", "kind", "message"),
    [
        ({"loss": {"name": "tet", "lamb": 0.5, "phi": 1e30}}, "FloatingPointError", "loss is inf in epoch 1"),
        ({"device": "cuda"}, "ConfigError", "device is 'cuda'"),
    ],
)
def test_a_users_failure_is_reported(folder: StageFolder, train: dict[str, Any], kind: str, message: str) -> None:
    report = run(StageTrial(config(folder.path, train=train)))[-1]
    assert (report["done"], report["end"]) == (True, "failed")
    failure = json.loads(report["failure"])
    assert (failure["class"], failure["kind"]) == ("user", kind)
    assert message in failure["message"]


def test_a_stage_never_continues_in_another_environment(folder: StageFolder) -> None:
    run(StageTrial(config(folder.path)), steps=1)
    last = read_progress(folder).last
    assert last is not None
    file = read_progress(folder).checkpoint(last)
    saved = checkpoints.load_checkpoint(file)
    checkpoints.save_checkpoint(saved | {"environment": saved["environment"] | {"instruction_set": "other"}}, file)
    failure = json.loads(run(StageTrial(config(folder.path)))[-1]["failure"])
    assert failure["class"] == "cluster"
    assert "instruction_set: saved 'other', now" in failure["message"]


def test_stages_are_ordered_by_chain_and_index() -> None:
    assert sorted([StageId("b", 0), StageId("a", 1), StageId("a", 0)])[0] == StageId("a", 0)


LANDSCAPE = {"kind": "landscape", "size": 3}


@pytest.fixture
def trained(tmp_path: Path) -> StageFolder:
    """Return a train stage that has ended."""
    folder = StageFolder(tmp_path / "trained")
    run(StageTrial(config(folder.path)))
    return folder


def analysing(path: Path, trained: StageFolder, **analysis: Any) -> StageTrial:
    return StageTrial(config(path, previous_stage_path=str(trained.path), stage_index=1, analysis=analysis))


def test_an_analysis_commits_a_row_a_step_and_ends_with_table_and_plot(
    folder: StageFolder, trained: StageFolder
) -> None:
    reports = run(analysing(folder.path, trained, kind="time_sweep", T=[1, 4]))
    assert [(report["epoch"], report["end"]) for report in reports] == [(1, None), (2, None), (2, "succeeded")]
    progress, training = read_progress(folder), read_progress(trained).last
    assert [(commit.epoch, commit.epochs, commit.step) for commit in progress.commits] == [(1, 2, 1), (2, 2, 4)]
    assert training is not None
    assert {commit.weights_sha256 for commit in progress.commits} == {training.weights_sha256}
    assert progress.train_time_s == 0
    assert progress.commits[0].metrics["time_sweep/accuracy"] == training.metrics["test/accuracy"]
    table = json.loads((folder.attempt(1) / "table.json").read_bytes())
    assert [row[table["columns"].index("T")] for row in table["data"]] == [1, 4]
    assert (folder.attempt(1) / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_landscape_that_was_killed_ends_like_an_undisturbed_one(
    folder: StageFolder, trained: StageFolder, tmp_path: Path
) -> None:
    alone = StageFolder(tmp_path / "alone")
    run(analysing(alone.path, trained, **LANDSCAPE))
    run(analysing(folder.path, trained, **LANDSCAPE), steps=1)  # and then it is killed
    (folder.attempt(1) / "row-000002.json").write_bytes(b"[{")
    assert run(analysing(folder.path, trained, **LANDSCAPE))[0]["epoch"] == 2
    assert series(folder) == series(alone)
    for name in ("table.json", "table.csv", "plot.png"):
        assert (folder.attempt(2) / name).read_bytes() == (alone.attempt(1) / name).read_bytes()


def test_the_rows_of_an_analysis_come_from_one_environment(folder: StageFolder, trained: StageFolder) -> None:
    run(analysing(folder.path, trained, **LANDSCAPE), steps=1)
    file = folder.attempt(1) / "started.json"
    started = json.loads(file.read_bytes())
    started["environment"]["instruction_set"] = "other"
    file.write_text(json.dumps(started))
    failure = json.loads(run(analysing(folder.path, trained, **LANDSCAPE))[-1]["failure"])
    assert (failure["class"], failure["kind"]) == ("cluster", "EnvironmentMismatch")
    assert "instruction_set: saved 'other', now" in failure["message"]


def test_an_impossible_analysis_is_the_users_failure(folder: StageFolder, trained: StageFolder) -> None:
    report = run(analysing(folder.path, trained, kind="energy", num_samples=10_000))[-1]
    failure = json.loads(report["failure"])
    assert (report["end"], failure["class"]) == ("failed", "user")
    assert failure["message"] == "num_samples is 10000; the test set of digits has 355"
