"""Data sets that are folders of files: their files with labels, and a split that is given or drawn by a seed.

`tet_core.inventory` finds the files. Here they get labels and, if the folders give no split, one is drawn.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tet_core import seed
from tet_core.data.bad_files import REFUSE, BadFileRule, settled
from tet_core.data.dataset import DataError
from tet_core.inventory.scanning import ClassFiles
from tet_core.inventory.shares import num_drawn
from tet_core.inventory.taking import take_inventory


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
    """The files of the training and of the test set, and a description for people: the split, and what is left out."""

    train: Listing
    test: Listing
    split: str


def listing_of(classes: Sequence[ClassFiles]) -> Listing:
    """Return the files of classes, class by class, with their labels."""
    labels = [label for label, each in enumerate(classes) for _ in each.files]
    files = [file for each in classes for file in each.files]
    return Listing(files, torch.tensor(labels, dtype=torch.int64), [each.name for each in classes])


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
        order = torch.randperm(len(members), generator=seed.generator(seed_, f"test split of class {label}"))
        drawn[members[order[: num_drawn(len(members), share)]]] = True
    return (~drawn).nonzero().flatten(), drawn.nonzero().flatten()


def list_parts(
    folder: Path,
    suffixes: Collection[str],
    *,
    num_classes: int,
    share: float = 0.0,
    seed_: int = 0,
    names: tuple[str, str] | None = None,
    rule: BadFileRule = REFUSE,
) -> Parts:
    """Return the training and the test files of a folder, by its own split if it has one, else by a drawn one.

    Args:
        folder: A folder with the folders `train` and `test` in it, or with class folders.
        suffixes: Endings of the files to list, in lower case with the dot: `.aedat`; a file's name may have any case.
        num_classes: K; there must be as many class folders.
        share: As for `seeded_split`.
        seed_: As for `seeded_split`.
        names: The names of the training and of the test folder; None: as for `take_inventory`.
        rule: What to do with files that cannot be read.

    Raises:
        DataError: If a folder is missing or empty, the classes of both parts differ, there are not K of them, a class
            has too few files for a drawn split, or too many files cannot be read.
    """
    inventory = take_inventory(folder, suffixes, names=names)
    for fault in inventory.faults(num_classes):
        raise DataError(fault.detail)
    inventory, words = settled(inventory, rule)
    whole = listing_of(inventory.train)
    if inventory.names is not None:
        split = f"split given by the folders {' and '.join(inventory.names)}"
        return Parts(whole, listing_of(inventory.test), split + words)
    train, test = (whole.pick(indices) for indices in seeded_split(whole.labels, share, seed_))
    return Parts(train, test, f"split drawn with seed {seed_}, test share {share}{words}")
