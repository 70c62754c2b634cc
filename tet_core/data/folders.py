"""Data sets that are folders of files: one folder for each class, with a split that is given or drawn by a seed.

The files are in `folder/train/<class>/...` and `folder/test/<class>/...`, or in `folder/<class>/...`. A class has the
number of its name among the sorted names. Files are sorted by name, runs of digits as numbers. So neither depends on
the file system.
"""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tet_core import seed
from tet_core.data.dataset import DataError

GIVEN = ("train", "test")  # the folders of a given split
_EXAMPLES = 5  # how many names an error shows before "and N more"


class Listing(NamedTuple):
    """Files with their labels.

    Attributes:
        files: N paths, class by class.
        labels: `[N]`, int64.
        classes: K names; a label is an index into them.
    """

    files: list[Path]
    labels: Tensor
    classes: list[str]

    def pick(self, indices: Tensor) -> "Listing":
        """Return the files at `indices` `[M]`, int64, in that order."""
        return Listing([self.files[place] for place in indices.tolist()], self.labels[indices], self.classes)


class Parts(NamedTuple):
    """The files of the training and of the test set, and a description of the split for people."""

    train: Listing
    test: Listing
    split: str


def natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key by which `a_2` comes before `a_10`."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", text)]


def list_classes(folder: Path, suffixes: Collection[str], classes: Sequence[str] | None = None) -> Listing:
    """Return all files of the class folders in a folder, also those in their subfolders, but no hidden ones.

    Args:
        folder: A folder with one folder for each class.
        suffixes: Endings of the files to list, in lower case with the dot: `.aedat`; a file's name may have any case.
        classes: Names of the class folders, in the order of the labels; by default all that exist, sorted.

    Raises:
        DataError: If the folder is missing, has no class folders, or a class has no such file; the message names it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if classes is None:
        classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise DataError(f"{folder}: there are no class folders in it; expected one folder for each class")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        members = _files_under(folder / name, suffixes)
        if not members:
            raise DataError(f"{folder / name}: no file ends in {', '.join(sorted(suffixes))}")
        files += members
        labels += [label] * len(members)
    return Listing(files, torch.tensor(labels, dtype=torch.int64), list(classes))


def _files_under(folder: Path, suffixes: Collection[str]) -> list[Path]:
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            Path(place, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
        ]
    return sorted(files, key=lambda path: (natural(str(path.relative_to(folder))), str(path)))


def seeded_split(labels: Tensor, share: float, seed_: int) -> tuple[Tensor, Tensor]:
    """Draw a share of each class; at least one sample is drawn, and at least one is left.

    Each class has its own draws, so samples added to one class do not change the split of another class.

    Args:
        labels: `[N]`, int64.
        share: The share of each class to draw, 0 to 1, rounded to the nearest number of samples.
        seed_: The data set's seed, not the experiment's: all seeds of an experiment have the same split.

    Returns:
        The indices of the samples that are left and of those drawn, each in rising order.

    Raises:
        DataError: If a class has only one sample.
    """
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            raise DataError(f"class {label} has only one sample; a split needs at least 2")
        number = min(max(round(share * len(members)), 1), len(members) - 1)
        order = torch.randperm(len(members), generator=seed.generator(seed_, f"test split of class {label}"))
        drawn[members[order[:number]]] = True
    return (~drawn).nonzero().flatten(), drawn.nonzero().flatten()


def list_parts(folder: Path, suffixes: Collection[str], *, num_classes: int, share: float, seed_: int) -> Parts:
    """Return the training and the test files of a folder, by its own split if it has one, else by a drawn one.

    Args:
        folder: A folder with the folders `train` and `test` in it, or with class folders.
        suffixes: As for `list_classes`.
        num_classes: K; there must be as many class folders.
        share: As for `seeded_split`.
        seed_: As for `seeded_split`.

    Raises:
        DataError: If a folder is missing or empty, the classes of both parts differ, or there are not K of them.
    """
    present = [name for name in GIVEN if (folder / name).is_dir()]
    if len(present) == 1:
        raise DataError(
            f"{folder}: there is a folder {present[0]!r} and no other of {' and '.join(GIVEN)}; "
            f"expected both folders, or class folders with other names"
        )
    if present:
        return given_parts(folder, suffixes, num_classes=num_classes)
    whole = list_classes(folder, suffixes)
    _check_classes(folder, whole.classes, num_classes)
    train, test = (whole.pick(indices) for indices in _split(folder, whole, share, seed_))
    return Parts(train, test, f"split drawn with seed {seed_}, test share {share}")


def given_parts(folder: Path, suffixes: Collection[str], *, num_classes: int, names: tuple[str, str] = GIVEN) -> Parts:
    """Return the training and the test files of a folder that has a folder of classes for each.

    Args:
        folder: A folder with the folders `names` in it.
        suffixes: As for `list_classes`.
        num_classes: K; there must be as many class folders.
        names: The names of the training and of the test folder.

    Raises:
        DataError: If a folder is missing or empty, the classes of both parts differ, or there are not K of them.
    """
    train_folder, test_folder = (folder / name for name in names)
    train, test = list_classes(train_folder, suffixes), list_classes(test_folder, suffixes)
    _check_classes(train_folder, train.classes, num_classes)
    if train.classes != test.classes:
        one_sided = sorted(set(train.classes) ^ set(test.classes))
        raise DataError(f"{folder}: {', '.join(names)} hold different classes: {_some(one_sided)} in one of them only")
    return Parts(train, test, f"split given by the folders {' and '.join(names)}")


def _split(folder: Path, whole: Listing, share: float, seed_: int) -> tuple[Tensor, Tensor]:
    try:
        return seeded_split(whole.labels, share, seed_)
    except DataError as error:
        raise DataError(f"{folder}: {error}; the classes are {_some(whole.classes)}") from error


def _check_classes(folder: Path, classes: list[str], num_classes: int) -> None:
    if len(classes) != num_classes:
        raise DataError(
            f"{folder}: holds {len(classes)} class folders ({_some(classes)}); num_classes is {num_classes}"
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_EXAMPLES])
    return shown if len(names) <= _EXAMPLES else f"{shown} and {len(names) - _EXAMPLES} more"
