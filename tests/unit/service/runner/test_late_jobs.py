"""Tests of jobs that Ray starts after their experiment was deleted."""

from pathlib import Path

import pytest

from service.runner import driver, verify
from service.storage import ExperimentFolder

ID = "0" * 20


def test_a_late_driver_does_not_restore_a_deleted_folder(tmp_path: Path) -> None:
    arguments = [
        "--experiment",
        ID,
        "--attempt",
        "2",
        "--storage",
        str(tmp_path),
        "--mlflow-url",
        "http://127.0.0.1:9",
        "--stop-window",
        "60",
        "--tracking-patience",
        "300",
    ]
    with pytest.raises(FileNotFoundError, match="drivers/0002"):
        driver.main(arguments)
    assert not ExperimentFolder(tmp_path, ID).path.exists()


def test_a_late_replay_does_not_restore_a_deleted_folder(tmp_path: Path) -> None:
    arguments = ["--experiment", ID, "--number", "1", "--chain", "c", "--stage", "0", "--storage", str(tmp_path)]
    with pytest.raises(FileNotFoundError, match=r"spec\.json"):
        verify.main(arguments)
    assert not ExperimentFolder(tmp_path, ID).path.exists()
