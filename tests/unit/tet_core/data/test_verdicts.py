"""Tests of checks of all files of a folder: one process checks each file once, and waiting processes see steps."""

import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.tet_core.stages import make_config
from tet_core import train_epochs
from tet_core.config import ImageFolder
from tet_core.data import check_reader
from tet_core.data.stepping import calling
from tet_core.data.verdicts import FOLDER, FileCheck, verdict_of
from tet_core.errors import EnvironmentMismatch
from tet_core.inventory.scanning import BadFile

OWN = ImageFolder(folder="pets", num_classes=2, input_size=8, bad_files="skip")


def pictures(root: Path) -> list[Path]:
    files = [root / "pets" / name / f"{index}.png" for name in ("cat", "dog") for index in range(6)]
    for index, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (index, 0, 0)).save(file)
    return files


class Checker:
    """A check that notes the files that it looks at, finds a fault in those of `bad`, and may break off at one."""

    def __init__(self, *bad: Path, end_at: Path | None = None) -> None:
        self.seen: list[Path] = []
        self.bad, self.end_at = bad, end_at

    def __call__(self, path: Path) -> str | None:
        if path == self.end_at:
            raise KeyboardInterrupt
        self.seen.append(path)
        return "is odd" if path in self.bad else None


def check(checker: Checker, files: list[Path]) -> FileCheck:
    return FileCheck(files[0].parents[1], files, checker, {"version": 1}, "a test")


def test_a_check_that_was_ended_goes_on_where_it_had_come_to(tmp_path: Path) -> None:
    files = pictures(tmp_path)
    first, second, third = Checker(files[2], end_at=files[7]), Checker(files[9]), Checker()
    with pytest.raises(KeyboardInterrupt):
        verdict_of(check(first, files), tmp_path)
    found = [BadFile(files[2], "is odd"), BadFile(files[9], "is odd")]
    assert verdict_of(check(second, files), tmp_path) == found
    assert verdict_of(check(third, files), tmp_path) == found
    assert (first.seen, second.seen, third.seen) == (files[:7], files[7:], [])
    assert list((tmp_path / FOLDER).glob("*.part")) == []


def test_one_checks_and_the_other_makes_steps_while_it_waits(tmp_path: Path) -> None:
    files = pictures(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Checker):
        def __call__(self, path: Path) -> str | None:
            begun.set()
            assert go_on.wait(60)
            return super().__call__(path)

    slow, other, steps = Slow(files[1]), Checker(), 0

    def on_step() -> None:
        nonlocal steps
        steps += 1
        if steps == len(files) + 2:  # it steps once for each file as it makes the key, and then while it waits
            go_on.set()

    thread = threading.Thread(target=verdict_of, args=(check(slow, files), tmp_path))
    thread.start()
    assert begun.wait(60)
    with calling(on_step):
        assert verdict_of(check(other, files), tmp_path) == [BadFile(files[1], "is odd")]
    thread.join()
    assert (slow.seen, other.seen) == (files, [])


def test_files_that_changed_are_checked_again(tmp_path: Path) -> None:
    files = pictures(tmp_path)
    assert verdict_of(check(Checker(), files), tmp_path) == []
    files[3].write_bytes(b"other")
    again = Checker(files[3])
    assert verdict_of(check(again, files), tmp_path) == [BadFile(files[3], "is odd")]
    assert again.seen == files


def test_a_data_root_that_cannot_be_written_checks_every_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = pictures(tmp_path)
    (tmp_path / FOLDER).write_bytes(b"in the way")
    for _ in range(2):
        checker = Checker(files[0])
        assert verdict_of(check(checker, files), tmp_path) == [BadFile(files[0], "is odd")]
        assert checker.seen == files
    assert "cannot be written, so every trial checks all files first" in capsys.readouterr().err


def test_a_training_makes_steps_while_files_are_decoded_before_its_first_batch(tmp_path: Path) -> None:
    files, steps = pictures(tmp_path), [0]

    def on_step() -> None:
        steps[0] += 1

    train_epochs(make_config(dataset=OWN.model_dump()), data_root=tmp_path, on_step=on_step)
    assert steps[0] >= 2 * len(files)


def test_the_comparison_with_an_older_reader_makes_steps_and_is_made_once(tmp_path: Path) -> None:
    steps: list[None] = []
    files = pictures(tmp_path)
    old: dict[str, object] = {"torch": "2"}
    check_reader(old, OWN, tmp_path, on_step=lambda: steps.append(None))
    assert len(steps) >= 4 * len(files)  # to decode, and to compare: each time the key, and then the file
    kept = sorted(each.name for each in (tmp_path / FOLDER).glob("*.json"))
    assert len(kept) == 2
    clear = files[4]
    Image.new("RGBA", (8, 8)).save(clear)
    state = clear.stat()
    with pytest.raises(EnvironmentMismatch, match=r"cat/4\.png is transparent"):
        check_reader(old, OWN, tmp_path)
    clear.write_bytes(b"\0" * state.st_size)
    os.utime(clear, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(EnvironmentMismatch, match=r"cat/4\.png is transparent"):  # the file is not opened again
        check_reader(old, OWN, tmp_path)
