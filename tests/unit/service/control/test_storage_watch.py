"""Tests of the storage watch."""

from pathlib import Path

import pytest

from service.control.storage_watch import INTERVAL_S, RELEASE_FACTOR, StorageWatch


class Disk:
    """A clock, and a file system whose free space the test sets."""

    now, free = 0.0, 1000


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    monkeypatch.setattr("shutil.disk_usage", lambda _: found)
    return found


def test_the_storage_is_full_below_the_limit_and_released_well_above_it(tmp_path: Path, disk: Disk) -> None:
    watch = StorageWatch(tmp_path, 1000, lambda: disk.now)
    assert watch.trouble() is None
    disk.free = 999
    assert watch.trouble() is None, "it checks only once an interval"
    enough = round(1000 * RELEASE_FACTOR)
    for free, full in ((999, True), (1000, True), (enough - 1, True), (enough, False)):
        disk.now += INTERVAL_S
        disk.free = free
        trouble = watch.trouble()
        assert (trouble is not None) is full, free
    disk.now += INTERVAL_S
    disk.free = 1000
    assert watch.trouble() is None


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    assert StorageWatch(tmp_path / "gone", 0).trouble() == (
        f"the storage cannot be written: No such file or directory ({tmp_path / 'gone'})"
    )
    assert StorageWatch(tmp_path, 0).trouble() is None
    assert list(tmp_path.iterdir()) == []
