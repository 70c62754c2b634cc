"""Tests of folders of files: which files count, in which order, and how they are split."""

from pathlib import Path

import pytest
import torch

from tet_core.data import DataError
from tet_core.data.folders import list_parts, listing_of, seeded_split
from tet_core.inventory.taking import take_inventory


def tree(root: Path, files: list[str]) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"content")
    return root


def test_classes_and_files_are_sorted_with_numbers_as_numbers(tmp_path: Path) -> None:
    tree(
        tmp_path,
        [
            "dog/d_10.PNG",
            "dog/d_2.png",
            "cat/more/c.png",
            "cat/b.png",
            "cat/notes.txt",
            "cat/.hidden.png",
            ".cache/x.png",
            "readme.png",
        ],
    )
    files, labels, classes = listing_of(take_inventory(tmp_path, {".png"}).train)
    names = [str(file.relative_to(tmp_path)) for file in files]
    assert names == ["cat/b.png", "cat/more/c.png", "dog/d_2.png", "dog/d_10.PNG"]
    assert labels.tolist() == [0, 0, 1, 1]
    assert classes == ["cat", "dog"]


def test_a_missing_folder_no_classes_and_an_empty_class_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        list_parts(tmp_path / "nowhere", {".png"}, num_classes=2)
    with pytest.raises(DataError, match=f"{tmp_path}: there are no class folders in it"):
        list_parts(tmp_path, {".png"}, num_classes=2)
    tree(tmp_path, ["cat/a.png", "cat/b.png", "dog/notes.txt"])
    with pytest.raises(DataError, match=r"dog: no file ends in \.jpg, \.png"):
        list_parts(tmp_path, {".png", ".jpg"}, num_classes=2, share=0.2)


def test_a_drawn_split_takes_its_share_of_each_class_and_depends_only_on_the_seed() -> None:
    labels = torch.tensor([0] * 10 + [1] * 20 + [2] * 2)
    train, test = seeded_split(labels, 0.2, 0)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(32))
    assert torch.bincount(labels[test]).tolist() == [2, 4, 1]
    again = seeded_split(labels, 0.2, 0)
    assert torch.equal(test, again[1])
    assert not torch.equal(test, seeded_split(labels, 0.2, 1)[1])
    longer = seeded_split(torch.tensor([0] * 10 + [1] * 20 + [2] * 9), 0.2, 0)[1]
    assert longer[longer < 30].tolist() == test[test < 30].tolist(), (
        "more samples in one class do not change another class"
    )
    assert torch.bincount(labels[seeded_split(labels, 0.99, 0)[0]]).tolist() == [1, 1, 1]


def test_a_given_split_is_kept(tmp_path: Path) -> None:
    tree(tmp_path, ["train/a/1.png", "train/b/1.png", "test/a/2.png", "test/b/2.png", "test/b/3.png"])
    parts = list_parts(tmp_path, {".png"}, num_classes=2, share=0.5, seed_=0)
    assert (len(parts.train.files), len(parts.test.files)) == (2, 3)
    assert parts.test.labels.tolist() == [0, 1, 1]
    assert parts.split == "split given by the folders train and test"


def test_class_folders_alone_are_split_by_the_seed(tmp_path: Path) -> None:
    tree(tmp_path, [f"{name}/{i}.png" for name in "ab" for i in range(5)])
    parts = list_parts(tmp_path, {".png"}, num_classes=2, share=0.2, seed_=7)
    assert (len(parts.train.files), len(parts.test.files)) == (8, 2)
    assert not set(parts.train.files) & set(parts.test.files)
    assert parts.split == "split drawn with seed 7, test share 0.2"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (["train/a/1.png", "b/1.png"], r"there is a folder 'train' and no other of train and test"),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"], "hold different classes: b, c in one"),
        (["a/1.png", "b/1.png", "c/1.png"], r"holds 3 class folders \(a, b, c\); num_classes is 2"),
        (["a/1.png", "a/2.png", "b/1.png"], "class 1 has only one sample; .*the classes are a, b"),
    ],
)
def test_folders_that_do_not_fit_are_refused(tmp_path: Path, files: list[str], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        list_parts(tree(tmp_path, files), {".png"}, num_classes=2, share=0.2, seed_=0)
