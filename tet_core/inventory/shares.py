"""How many samples of each class are tested, validated and trained on. No sample is drawn here."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from tet_core.config import DvsCifar10, EventFolder, ImageFolder, ImageNet
from tet_core.inventory.scanning import ClassFiles
from tet_core.inventory.taking import Finding, Inventory, some

# CIFAR10-DVS has no split: the last 100 of 1,000 recordings of a class are the test set; of any other number, a tenth.
PER_CLASS, TEST_PER_CLASS = 1_000, 100


class SplitShares(NamedTuple):
    """The shares of a stage: it uses `train_part` of each class, and validates on `validation` of what it uses."""

    validation: float
    train_part: float


def num_drawn(num: int, share: float) -> int:
    """Return how many of a class's `num` samples (2 or more) are drawn for testing: 1 to `num - 1`."""
    return min(max(round(share * num), 1), num - 1)


def num_last(num: int) -> int:
    """Return how many of a class's `num` recordings of CIFAR10-DVS are tested on."""
    return TEST_PER_CLASS if num == PER_CLASS else max(num // 10, 1)


def num_split(num: int, fraction: float, part: float) -> tuple[int, int]:
    """Return how many of a class's `num` training samples are trained on, and how many are validated on."""
    used = round(part * num)
    validated = round(fraction * used)
    return min(used - validated, num - round(fraction * num)), validated


def class_sizes(config: ImageNet | ImageFolder | DvsCifar10 | EventFolder, inventory: Inventory) -> dict[str, int]:
    """Return the number of training samples of each class, by the class's name."""
    return {each.name: _num_trained(config, inventory, each) for each in inventory.train}


def _num_trained(
    config: ImageNet | ImageFolder | DvsCifar10 | EventFolder, inventory: Inventory, of: ClassFiles
) -> int:
    num = len(of.files) - len(of.bad)
    if num < 1 or isinstance(config, ImageNet) or inventory.names is not None:
        return num
    return num - (num_last(num) if isinstance(config, DvsCifar10) else num_drawn(num, config.test))


def share_findings(sizes: Mapping[str, int], shares: Collection[SplitShares]) -> tuple[list[Finding], list[Finding]]:
    """Compare the sizes of the classes with what stages take of them; return the faults, and the notes.

    A class without a sample to train on is a fault, and so is a validation set without any sample. If some
    classes have samples to validate on, the classes without one are only a note.
    """
    faults: list[Finding] = []
    notes: list[Finding] = []
    for share in sorted(set(shares)):
        split = {name: num_split(size, *share) for name, size in sizes.items()}
        untrained = {name: sizes[name] for name, (trained, _) in split.items() if trained == 0}
        unvalidated = {name: sizes[name] for name, (_, validated) in split.items() if validated == 0}
        faults += _findings(share, untrained, "train on")
        if share.validation > 0:
            (faults if len(unvalidated) == len(split) else notes).extend(_findings(share, unvalidated, "validate on"))
    return faults, notes


def _findings(share: SplitShares, left_empty: Mapping[str, int], purpose: str) -> Iterator[Finding]:
    if left_empty:
        path = "validation" if share.validation > 0 else "train_part"
        with_part = f" with train_part {share.train_part}" if share.train_part < 1 else ""
        classes = some([f"{name!r} with {size:,}" for name, size in left_empty.items()])
        yield Finding(
            (path,),
            f"validation {share.validation}{with_part} leaves {len(left_empty)} of the classes without a sample "
            f"to {purpose} (training samples: {classes}); add samples, or choose another share",
        )
