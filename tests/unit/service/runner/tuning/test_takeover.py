"""Tests of the takeover by a newer driver."""

import errno
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from service.runner.tuning.takeover import Takeover
from service.storage import ExperimentFolder


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    folder = ExperimentFolder(tmp_path, "e")
    for number in (1, 2):
        folder.driver(number).mkdir(parents=True)
    return folder


def test_the_newest_driver_continues(folder: ExperimentFolder) -> None:
    assert not Takeover(folder, 2).has_come()


def test_an_older_driver_notices_a_newer_one(folder: ExperimentFolder) -> None:
    takeover = Takeover(folder, 1)
    assert takeover.has_come()
    assert takeover.newest == 2


def test_a_driver_checks_at_intervals_and_a_takeover_is_final(folder: ExperimentFolder) -> None:
    clock = Clock()
    takeover = Takeover(folder, 2, clock)
    assert not takeover.has_come()
    folder.driver(3).mkdir()
    assert not takeover.has_come(), "the last check is less than an interval ago"
    clock.now += 1
    assert takeover.has_come()
    folder.driver(3).rmdir()
    clock.now += 10
    assert takeover.has_come()


@pytest.mark.parametrize("listing", [OSError(errno.ESTALE, "Stale file handle"), [1]])
def test_a_listing_that_fails_or_is_outdated_is_repeated(
    folder: ExperimentFolder, listing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    takeover = Takeover(folder, 2, clock)
    with monkeypatch.context() as patch:
        patch.setattr(ExperimentFolder, "driver_numbers", Mock(side_effect=[listing]))
        assert not takeover.has_come()
    folder.driver(3).mkdir()
    clock.now += 1
    assert takeover.has_come()
