"""Tests of the check that the first trial runs: it writes a report, and does not change the training of this trial."""

from pathlib import Path
from typing import Any

import pytest

from service.runner.checking.check_records import read_report
from service.runner.commits.reading import read_progress
from service.runner.trial.trainable import StageTrial
from service.storage import StageFolder
from tests.unit.service.runner.trial.test_failing_attempts import failure
from tests.unit.service.runner.trial.test_trainable import TRAIN, config, run, series

SUBJECTS = [TRAIN, TRAIN | {"T": 3, "model": {"name": "vgg_small", "width": 3}}]
MISSPELT = TRAIN | {"model": {"name": "entry_point", "entry_point": "not_installed_here"}}


def checking(path: Path, subjects: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return config(path / "0", check_file=str(path / "checks" / "0001-1.json"), check_subjects=subjects, **changes)


def test_a_trial_that_checks_trains_to_the_same_bits_as_one_that_does_not(tmp_path: Path) -> None:
    (tmp_path / "checked").mkdir()
    run(StageTrial(checking(tmp_path / "checked", [*SUBJECTS, MISSPELT])))
    run(StageTrial(config(tmp_path / "plain" / "0")))
    one, other = (series(StageFolder(tmp_path / name / "0")) for name in ("checked", "plain"))
    assert one == other != []
    report = read_report(tmp_path / "checked" / "checks" / "0001-1.json")
    assert report is not None
    assert (len(report.checked), [fault.failure.type for fault in report.faults]) == (3, ["spec"])


def test_a_trial_whose_own_stage_cannot_run_reports_that_and_fails(tmp_path: Path) -> None:
    reported = failure(run(StageTrial(checking(tmp_path, [MISSPELT, TRAIN], train=MISSPELT)))[-1])
    report = read_report(tmp_path / "checks" / "0001-1.json")
    assert report is not None
    assert [fault.failure.message for fault in report.faults] == [reported["message"]]
    assert read_progress(StageFolder(tmp_path / "0")).started == ()


def test_a_report_is_made_once(tmp_path: Path) -> None:
    run(StageTrial(checking(tmp_path, SUBJECTS)), steps=1)
    before = (tmp_path / "checks" / "0001-1.json").read_bytes()
    run(StageTrial(checking(tmp_path, [MISSPELT])), steps=1)
    assert (tmp_path / "checks" / "0001-1.json").read_bytes() == before


def test_a_check_that_fails_itself_does_not_harm_its_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checks").write_text("not a folder")
    assert run(StageTrial(checking(tmp_path, SUBJECTS)))[-1]["end"] == "succeeded"
    assert "the check of the configurations failed: " in capsys.readouterr().out


def test_a_report_that_cannot_be_looked_for_does_not_harm_its_trial(tmp_path: Path) -> None:
    too_long = str(tmp_path / ("x" * 300))  # each look for it raises an OSError
    assert run(StageTrial(checking(tmp_path, SUBJECTS) | {"check_file": too_long}))[-1]["end"] == "succeeded"
