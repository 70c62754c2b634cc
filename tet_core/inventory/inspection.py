"""Whether a data set is there and fits its config, as far as its folders show before anything runs.

Nothing is decoded: damaged files are found on the nodes.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from tet_core.config import (
    Cifar10,
    Cifar100,
    DatasetConfig,
    Digits,
    DvsCifar10,
    EntryPointDataset,
    EventFolder,
    FashionMnist,
    ImageFolder,
    ImageNet,
    Saccades,
)
from tet_core.errors import DataError
from tet_core.inventory import published
from tet_core.inventory.reader import IMAGE_SUFFIXES, RECORDING_SUFFIXES
from tet_core.inventory.scanning import OutOfTime, UnreadableFolder, in_words, readable
from tet_core.inventory.shares import SplitShares, class_sizes, share_findings
from tet_core.inventory.taking import Finding, Inventory, take_inventory


@dataclass
class Inspection:
    """What the folders of a data set show.

    Attributes:
        faults: Why the data set cannot be used as the config says.
        notes: What is left out, and what could not be checked.
    """

    faults: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


def inspect(
    config: DatasetConfig, root: Path, shares: Collection[SplitShares] = (), *, deadline: float | None = None
) -> Inspection:
    """Look for a data set under a data root, and compare it with its config.

    Args:
        config: The data set.
        root: The data root, which must exist.
        shares: The shares of all stages that train on it.
        deadline: The value of `time.monotonic` at which the scan ends; None: it has all the time it needs.
    """
    found = _look(config, root, shares, deadline)
    faults, notes = (
        [each._replace(detail=readable(each.detail)) for each in part] for part in (found.faults, found.notes)
    )
    return Inspection(faults, notes)


def _look(config: DatasetConfig, root: Path, shares: Collection[SplitShares], deadline: float | None) -> Inspection:
    match config:
        case Digits():
            return Inspection()
        case FashionMnist() | Cifar10() | Cifar100():
            return _downloaded(config, root)
        case EntryPointDataset():
            return _noted(
                ("dataset", "entry_point"), "only the nodes know this data set: the package that offers it decides"
            )
        case Saccades():
            inner = _look(config.base, root, shares, deadline)
            return Inspection(*(_of_base(found) for found in (inner.faults, inner.notes)))
        case ImageNet() | ImageFolder() | DvsCifar10() | EventFolder():
            return _folders(config, root, shares, deadline)
        case unknown:
            assert_never(unknown)


def _of_base(found: list[Finding]) -> list[Finding]:
    """Return findings about still images as findings about the simulated events that are made of them."""
    return [
        Finding(("dataset", "base", *each.path[1:]), each.detail) if each.path[0] == "dataset" else each
        for each in found
    ]


def _noted(path: tuple[str, ...], detail: str) -> Inspection:
    return Inspection(notes=[Finding(path, detail)])


def _downloaded(config: FashionMnist | Cifar10 | Cifar100, root: Path) -> Inspection:
    """Note that a data set that is downloaded on demand is missing; the nodes may have a network or not."""
    if published.is_present(config, root):
        return Inspection()
    detail = f"{root / config.name}: the files are not there; the first trial downloads them, if its node can"
    return _noted(("dataset", "name"), f"{detail} (docs/guides/data.md says how to put them there by hand)")


Folders = ImageNet | ImageFolder | DvsCifar10 | EventFolder


def folder_of(config: Folders, root: Path) -> Path:
    """Return the folder of a data set."""
    return root / (config.name if isinstance(config, DvsCifar10) else config.folder)


def inventory_of(config: Folders, root: Path, *, deadline: float | None = None) -> Inventory:
    """Return the inventory of a data set's folder, in its layout.

    Raises:
        DataError: As for `take_inventory`.
        OutOfTime: As for `take_inventory`.
    """
    folder = folder_of(config, root)
    match config:
        case ImageNet():
            return take_inventory(folder, IMAGE_SUFFIXES, names=published.IMAGENET_PARTS, deadline=deadline)
        case ImageFolder():
            return take_inventory(folder, IMAGE_SUFFIXES, deadline=deadline)
        case EventFolder():
            return take_inventory(folder, RECORDING_SUFFIXES, deadline=deadline)
        case DvsCifar10():
            classes = published.CIFAR10_CLASSES
            return take_inventory(folder, RECORDING_SUFFIXES, classes=classes, deadline=deadline)
        case unknown:
            assert_never(unknown)


def _folders(config: Folders, root: Path, shares: Collection[SplitShares], deadline: float | None) -> Inspection:
    path = ("dataset", "name" if isinstance(config, DvsCifar10) else "folder")
    if (missing := missing_folders(config, root)) is not None:
        return Inspection(faults=[Finding(path, missing)])
    try:
        inventory = inventory_of(config, root, deadline=deadline)
    except UnreadableFolder as error:
        return _noted(path, f"{error}; a node checks it when a trial starts")
    except DataError as error:
        return Inspection(faults=[Finding(path, str(error))])
    except OutOfTime:
        return _noted(path, _out_of_time(folder_of(config, root)))
    found = Inspection(faults=list(inventory.faults(config.card().num_classes)))
    found.faults += _bad_files(config, inventory)
    if inventory.left_out:
        found.notes.append(Finding(path, f"{inventory.folder}: left out: {in_words(inventory.left_out)}"))
    if not inventory.is_complete:
        found.notes.append(Finding(path, _out_of_time(inventory.folder)))
    if not found.faults:
        _compare(config, inventory, shares, found)
    return found


def missing_folders(config: Folders, root: Path) -> str | None:
    """Return which folders of a data set are missing, and how to get them; None if all are there."""
    folder = folder_of(config, root)
    match config:
        case ImageNet():
            return published.missing_imagenet(folder)
        case DvsCifar10():
            return published.missing_dvs_cifar10(folder)
        case ImageFolder() | EventFolder():
            return None if folder.is_dir() else published.missing_own(config.name, folder)
        case unknown:
            assert_never(unknown)


def _out_of_time(folder: Path) -> str:
    return f"{folder}: holds too many files to look at all of them now; a node checks the rest when a trial starts"


def _bad_files(config: Folders, inventory: Inventory) -> Iterator[Finding]:
    bad = inventory.bad
    if not bad:
        return
    total = sum(len(each.files) for each in inventory.classes)
    if isinstance(config, DvsCifar10) or config.bad_files == "refuse":
        yield Finding(
            ("dataset", "name" if isinstance(config, DvsCifar10) else "bad_files"),
            f"{bad[0].path}: {bad[0].why}; {len(bad):,} of {total:,} files cannot be read: remove them"
            + ("" if isinstance(config, DvsCifar10) else ", or set bad_files to 'skip'"),
        )
    elif inventory.is_complete and len(bad) > config.max_bad_share * total:
        yield Finding(
            ("dataset", "max_bad_share"), too_many_bad(len(bad), total, config.max_bad_share, str(bad[0].path))
        )


def too_many_bad(num: int, total: int, share: float, example: str) -> str:
    """Return the error of a data set with more files that cannot be read than its config accepts."""
    return (
        f"{num:,} of {total:,} files cannot be read, such as {example}; max_bad_share is {share}, so at most "
        f"{int(share * total):,} may be skipped"
    )


def _compare(config: Folders, inventory: Inventory, shares: Collection[SplitShares], found: Inspection) -> None:
    """Add the faults of the sizes of the classes, and notes about them."""
    if inventory.is_complete:
        faults, notes = share_findings(class_sizes(config, inventory), shares)
        found.faults += faults
        found.notes += notes
