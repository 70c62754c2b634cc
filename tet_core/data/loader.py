"""Batches of a training set in an order, and with an augmentation, that depend on seed and epoch alone.

Shapes: N samples, B batch, C channels, H and W pixels.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tet_core import seed
from tet_core.data import augment
from tet_core.data.dataset import Dataset, Split


class Batch(NamedTuple):
    """Normalised images `[B, C, H, W]` and labels `[B]`."""

    images: Tensor
    labels: Tensor


class TrainLoader:
    """The training set, batch by batch; the last batch of an epoch may be smaller.

    Args:
        dataset: The data set.
        members: `[M]`, int64: the samples of its training set to train on.
        batch_size: B.
        steps: The augmentation.
        seed: The experiment's seed.
        device: Where the images stay and the batches are made.
        dtype: Of the normalised images.
    """

    def __init__(
        self, dataset: Dataset, members: Tensor, *, batch_size: int, steps: Sequence[augment.Step], seed: int,
        device: torch.device, dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self.dataset, self.batch_size, self.steps, self.seed = dataset, batch_size, steps, seed
        self.device, self.dtype = device, dtype
        self.split = dataset.train.to(device)
        self.is_member = torch.zeros(len(dataset.train), dtype=torch.bool)
        self.is_member[members] = True
        self.num_samples = len(members)

    def order(self, epoch: int) -> Tensor:
        """The order of the samples in an epoch of the chain: `[M]`, int64."""
        order = torch.randperm(len(self.split), generator=seed.generator(self.seed, "order", epoch))
        return order[self.is_member[order]]

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch of the chain (from 1)."""
        tables = augment.draw(self.steps, len(self.split), seed_=self.seed, epoch=epoch)
        tables = tuple(table.to(self.device) for table in tables)
        for indices in torch.split(self.order(epoch).to(self.device), self.batch_size):
            images = augment.apply(self.steps, tables, indices, self.split.images[indices])
            yield Batch(self.dataset.normalise(images, self.dtype), self.split.labels[indices])


def in_order(dataset: Dataset, split: Split, *, batch_size: int, dtype: torch.dtype) -> Iterator[Batch]:
    """The samples of a split as they lie, normalised and not augmented."""
    for images, labels in zip(
        torch.split(split.images, batch_size), torch.split(split.labels, batch_size), strict=True
    ):
        yield Batch(dataset.normalise(images, dtype), labels)


def split_validation(labels: Tensor, fraction: float, seed_: int) -> tuple[Tensor, Tensor]:
    """Split a training set by class, at random.

    Args:
        labels: `[N]`, int64.
        fraction: Of each class that goes to validation, rounded to the nearest number of samples.
        seed_: The experiment's seed.

    Returns:
        Indices to train on and indices to validate on, each in rising order.

    Raises:
        ValueError: If a part would be empty.
    """
    generator = seed.generator(seed_, "validation")
    is_validation = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        is_validation[shuffled[: round(fraction * len(members))]] = True
    train, validation = (~is_validation).nonzero().flatten(), is_validation.nonzero().flatten()
    if len(train) == 0 or (fraction > 0 and len(validation) == 0):
        raise ValueError(
            f"validation is {fraction}; of {len(labels)} samples that leaves {len(train)} to train on and "
            f"{len(validation)} to validate on, and both need one at least"
        )
    return train, validation
