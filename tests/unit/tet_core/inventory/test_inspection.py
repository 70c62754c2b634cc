"""Tests of the inspection of a data set's folders, before anything runs."""

import os
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.original_data import write_cifar10
from tet_core.config import Cifar10, DatasetConfig, DvsCifar10, EventFolder, ImageFolder, ImageNet, Saccades
from tet_core.data import DataError, check_reader, load_dataset
from tet_core.data.images import load_folder
from tet_core.data.loader import split_validation
from tet_core.errors import ConfigError, EnvironmentMismatch
from tet_core.inventory import Inspection, SplitShares, inspect
from tet_core.inventory.shares import num_split


def pictures(root: Path, *, sizes: dict[str, int]) -> None:
    for name, number in sizes.items():
        (root / "pets" / name).mkdir(parents=True)
        for index in range(number):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(root / "pets" / name / f"{index}.png")


def own(**fields: object) -> ImageFolder:
    return ImageFolder.model_validate({"folder": "pets", "num_classes": 2, "input_size": 8, **fields})


def faults(found: Inspection) -> list[tuple[str, str]]:
    return [(".".join(each.path), each.detail) for each in found.faults]


def test_a_data_set_that_fits_has_neither_faults_nor_notes(tmp_path: Path) -> None:
    pictures(tmp_path, sizes={"cat": 4, "dog": 2})
    assert inspect(own(), tmp_path, [SplitShares(0.0, 1.0)]) == Inspection()


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        (own(folder="birds"), "dataset.folder", "image_folder is not here: looked for"),
        (own(num_classes=3), "dataset.num_classes", "holds 2 class folders (cat, dog); num_classes is 3"),
        (ImageNet(), "dataset.folder", "Get ILSVRC2012"),
        (DvsCifar10(), "dataset.name", "dvs_cifar10 is not here"),
        (EventFolder(folder="no", num_classes=2, input_size=8), "dataset.folder", "event_folder is not here"),
        (EventFolder(folder="pets", num_classes=2, input_size=8), "dataset.folder", "no file ends in .aedat"),
        (Saccades(base=own(folder="birds")), "dataset.base.folder", "image_folder is not here"),
    ],
)
def test_what_is_missing_or_wrong_is_a_fault_of_its_field(
    tmp_path: Path, config: DatasetConfig, field: str, words: str
) -> None:
    pictures(tmp_path, sizes={"cat": 4, "dog": 2})
    path, detail = faults(inspect(config, tmp_path))[0]
    assert path == field
    assert words in detail


def test_a_class_of_one_file_cannot_be_split(tmp_path: Path) -> None:
    pictures(tmp_path, sizes={"cat": 4, "dog": 1})
    assert "class 1 has only one sample" in faults(inspect(own(), tmp_path))[0][1]


def test_shares_that_leave_no_sample_are_faults_and_small_classes_are_notes(tmp_path: Path) -> None:
    pictures(tmp_path, sizes={"cat": 40, "dog": 3})
    rare = inspect(own(), tmp_path, [SplitShares(0.1, 1.0)])
    assert rare.faults == []
    assert [each.path for each in rare.notes] == [("validation",)]
    assert (
        "leaves 1 of the classes without a sample to validate on (training samples: 'dog' with 2)"
        in rare.notes[0].detail
    )
    assert faults(inspect(own(), tmp_path, [SplitShares(0.01, 1.0)]))[0][0] == "validation"
    assert "without a sample to train on" in faults(inspect(own(), tmp_path, [SplitShares(0.0, 0.1)]))[0][1]


@given(st.integers(1, 60), st.sampled_from([0.0, 0.1, 0.25, 0.5]), st.sampled_from([0.1, 0.5, 0.7, 1.0]))
def test_the_inspection_computes_the_same_numbers_as_the_split(num: int, fraction: float, part: float) -> None:
    try:
        train, validation = split_validation(torch.zeros(num, dtype=torch.int64), fraction, 0, part)
    except ConfigError:
        assert 0 in num_split(num, fraction, part)
    else:
        assert (len(train), len(validation)) == num_split(num, fraction, part)


def test_files_and_folders_that_are_left_out_are_counted_in_a_note_and_in_the_data_sets_source(tmp_path: Path) -> None:
    for part in ("train", "test"):
        pictures(tmp_path / part, sizes={"cat": 2, "dog": 2})
        (tmp_path / part / "pets").rename(tmp_path / part / "up")
        os.renames(tmp_path / part / "up", tmp_path / "pets" / part)
    top = tmp_path / "pets" / "train" / "cat"
    (tmp_path / "pets" / "val" / "cat").mkdir(parents=True)
    (top / "more").mkdir()
    Image.new("L", (8, 8)).save(top / "more" / "deep.TIF")
    (top / "link").symlink_to(tmp_path / "pets" / "val")
    (top / "loop").symlink_to("loop")
    for name in ("a.psd", "b.PSD", "README", ".DS_Store", "Thumbs.db"):
        (top / name).write_bytes(b"x")
    (tmp_path / "pets" / "loose.png").write_bytes(b"x")
    words = (
        "left out: 1 .png beside train and test, 2 .psd, 1 folders beside train and test (val), 2 hidden, "
        "1 links to folders, 2 without an ending"
    )
    found = inspect(own(), tmp_path)
    assert found.faults == []
    assert found.notes[0].detail == f"{tmp_path / 'pets'}: {words}"
    dataset = load_dataset(own(), tmp_path)
    assert len(dataset.train) == 5
    assert dataset.source.endswith(words)


def test_a_class_that_links_back_or_to_another_class_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, sizes={"cat": 2, "dog": 2})
    link = tmp_path / "pets" / "again"
    link.symlink_to(tmp_path / "pets")
    assert "again: a link that leads back" in faults(inspect(own(num_classes=3), tmp_path))[0][1]
    link.unlink()
    link.symlink_to("cat")
    assert "again: a link to the same files as folder 'cat'" in faults(inspect(own(num_classes=3), tmp_path))[0][1]


def test_empty_files_and_broken_links_are_refused_or_skipped(tmp_path: Path) -> None:
    pictures(tmp_path, sizes={"cat": 6, "dog": 6})
    (tmp_path / "pets" / "cat" / "0.png").write_bytes(b"")
    (tmp_path / "pets" / "dog" / "gone.png").symlink_to("nowhere")
    (tmp_path / "pets" / "dog" / "1.png").write_bytes(b"no image")
    field, detail = faults(inspect(own(), tmp_path))[0]
    assert (field, "2 of 13 files cannot be read" in detail) == ("dataset.bad_files", True)
    with pytest.raises(DataError, match=r"cat/0\.png: an empty file, of 0 bytes; 2 of 13 files cannot be read"):
        load_dataset(own(), tmp_path)
    few, many = (own(bad_files="skip", max_bad_share=share) for share in (0.1, 0.3))
    assert faults(inspect(few, tmp_path))[0][0] == "dataset.max_bad_share"
    assert inspect(many, tmp_path).faults == []
    for _ in range(2):  # the second time, the stored verdict is read
        dataset = load_folder(many, tmp_path)
        assert len(dataset.train) + len(dataset.test) == 10
        assert dataset.source.endswith("skipped 3 bad files: cat/0.png, dog/1.png, dog/gone.png")
    assert len(list((tmp_path / ".checked").glob("*.json"))) == 1


def test_a_scan_ends_when_its_time_is_over(tmp_path: Path) -> None:
    pictures(tmp_path, sizes={"cat": 4, "dog": 1})
    found = inspect(own(), tmp_path, deadline=time.monotonic() - 1)
    assert found.faults == []
    assert "too many files to look at all of them now" in found.notes[0].detail


def test_a_data_set_that_must_be_downloaded_first_is_noted(tmp_path: Path) -> None:
    noted = inspect(Cifar10(), tmp_path)
    assert (noted.faults, noted.notes[0].path) == ([], ("dataset", "name"))
    write_cifar10(tmp_path / "cifar10" / "cifar-10-batches-py")
    assert inspect(Cifar10(), tmp_path) == Inspection()


OLD: dict[str, object] = {"torch": "2"}


@pytest.mark.parametrize(
    ("mode", "name", "why"),
    [("RGBA", "x.png", "is transparent"), ("RGB", "x.gif", r"ends in \.gif, which reader 1 left out")],
)
def test_a_stage_begun_with_an_older_image_reader_continues_only_if_no_file_is_read_differently(
    tmp_path: Path, mode: str, name: str, why: str
) -> None:
    pictures(tmp_path, sizes={"cat": 2, "dog": 2})
    pictures(tmp_path / "other", sizes={"cat": 2, "dog": 2})
    check_reader(OLD, own(), tmp_path / "other")
    Image.new(mode, (8, 8)).save(tmp_path / "pets" / "cat" / name)
    with pytest.raises(EnvironmentMismatch, match=rf"image_reader: saved 1, now 2, .*cat/{name} {why}"):
        check_reader(OLD, own(), tmp_path)
    check_reader({"image_reader": 2}, own(), tmp_path)
