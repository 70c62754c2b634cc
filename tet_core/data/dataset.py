"""What a data set is here: all of its images in memory, and how to normalise them.

Shapes: N samples, C channels, H and W pixels.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tet_core.config import DatasetCard


class DataError(ValueError):
    """A data set is missing, damaged, or not what its card says."""


@dataclass(frozen=True)
class Split:
    """Images `[N, C, H, W]`, uint8, and their labels `[N]`, int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.images.shape[0]

    def to(self, device: torch.device) -> "Split":
        """The same split on a device."""
        return Split(self.images.to(device), self.labels.to(device))

    def subset(self, indices: Tensor) -> "Split":
        """The samples at `indices` `[M]`, int64, in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A data set in memory.

    Attributes:
        name: As in `tet_core.config.DATASETS`.
        num_classes: K.
        in_channels: C.
        input_size: H = W, in pixels.
        mean: Of each channel of the training set, in the images' own units (0 to `max_value`).
        std: The same for the standard deviation.
        train: The training set, in file order.
        test: The test set, in file order.
        source: Where it came from, for people.
    """

    name: str
    num_classes: int
    in_channels: int
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split
    test: Split
    source: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all shapes, images and labels, in hex."""
        sha = hashlib.sha256()
        for tensor in (self.train.images, self.train.labels, self.test.images, self.test.labels):
            sha.update(repr((str(tensor.dtype), tuple(tensor.shape))).encode())
            sha.update(tensor.contiguous().numpy().data)
        return sha.hexdigest()

    def normalise(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """`(images - mean) / std`, by channel.

        Args:
            images: `[B, C, H, W]`, uint8, on any device.
            dtype: Of the result.

        Returns:
            `[B, C, H, W]` on the same device.
        """
        mean = torch.tensor(self.mean, dtype=dtype, device=images.device).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=dtype, device=images.device).view(-1, 1, 1)
        return images.to(dtype).sub_(mean).div_(std)


def check(dataset: Dataset, card: DatasetCard) -> Dataset:
    """Return the data set if it is what its card says.

    Raises:
        DataError: If a size differs from the card's, or a label is out of range.
    """
    shape = (card.in_channels, card.input_size, card.input_size)
    for part, split, number in (("train", dataset.train, card.num_train), ("test", dataset.test, card.num_test)):
        if tuple(split.images.shape) != (number, *shape) or tuple(split.labels.shape) != (number,):
            raise DataError(
                f"{dataset.name}: the {part} set has images {tuple(split.images.shape)} and labels "
                f"{tuple(split.labels.shape)}; expected {(number, *shape)} and {(number,)}"
            )
        if int(split.labels.min()) < 0 or int(split.labels.max()) >= card.num_classes:
            raise DataError(f"{dataset.name}: the {part} set has labels outside 0 to {card.num_classes - 1}")
    return dataset
