"""Tests of the paths on the shared storage."""

from pathlib import Path

import pytest

from service.storage import ExperimentFolder, numbered

FOLDER = ExperimentFolder(Path("/storage"), "0123abcd")


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (FOLDER.spec, "spec.json"),
        (FOLDER.events(3), "drivers/0003/events.jsonl"),
        (FOLDER.driver_log(3), "drivers/0003/driver.log"),
        (FOLDER.stage("c0", 1).commits, "chains/c0/1/commits"),
        (FOLDER.stage("c0", 1).done(), "chains/c0/1/done.json"),
        (FOLDER.stage("c0", 1).done(generation=2), "chains/c0/1/done-0002.json"),
        (FOLDER.verification(3), "verifications/0003"),
        (FOLDER.stage("c0", 1).trial_log(12), "chains/c0/1/attempts/0012/trial.log"),
    ],
    ids=lambda value: str(value),
)
def test_every_path_follows_from_experiment_chain_and_stage(path: Path, where: str) -> None:
    assert path == Path("/storage/experiments/0123abcd") / where


def test_drivers_and_attempts_are_listed_by_number(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path, "e")
    assert (folder.driver_numbers(), folder.stage("c", 0).attempt_numbers()) == ([], [])
    for number in (10_000, 2, 9999):
        folder.driver(number).mkdir(parents=True)
        folder.stage("c", 0).attempt(number).mkdir(parents=True)
    (folder.drivers / "0002.job.log").touch()
    (folder.drivers / ".0003.tmp").touch()
    assert folder.driver_numbers() == [2, 9999, 10_000]
    assert folder.stage("c", 0).attempt_numbers() == [2, 9999, 10_000]


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        numbered(tmp_path / "file")
