"""A data set: samples with their labels, and how a network's input is made from them.

Shapes: N samples, B samples of a batch, T time steps, C channels, H and W pixels.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Protocol, Self

import torch
from torch import Tensor
from typing_extensions import Buffer

from tet_core.config import DatasetCard
from tet_core.data.accepted import (
    cast_images,
    cast_labels,
    check_images,
    check_labels,
    check_tensor,
    checked_classes,
    checked_statistics,
)
from tet_core.errors import ConfigError
from tet_core.errors import DataError as DataError
from tet_core.inventory.scanning import readable
from tet_core.static import repeat_over_time


class Samples(Protocol):
    """Samples of a training or a test set, in memory or in files."""

    @property
    def labels(self) -> Tensor:
        """`[N]`, int64, on the device that `to` was given."""
        ...

    @property
    def streams(self) -> bool:
        """Whether `take` has to read or decode, so that batches should be fetched ahead."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: Tensor) -> Tensor:
        """Return the samples at `indices` `[B]`, int64, in that order.

        Returns:
            Still images `[B, C, H, W]`, uint8 (H and W may be larger than the input, which is cropped from them), or
            frames of events `[B, T, C, H, W]`, counts as integers; on the device of `labels`.

        Raises:
            DataError: If a file is damaged; the message names the file.
        """
        ...

    def subset(self, indices: Tensor) -> Self:
        """Return the samples at `indices` `[M]`, int64, in that order."""
        ...

    def to(self, device: torch.device) -> Self:
        """Return the same samples; their `take` gives tensors on a device."""
        ...

    def content(self) -> Iterator[Buffer]:
        """Yield bytes that distinguish these samples from others; large data sets leave out pixels."""
        ...


@dataclass(frozen=True)
class Split:
    """Samples in memory: images `[N, C, H, W]`, uint8, and their labels `[N]`, int64.

    Other types that are safe are accepted too; see `check_against_card`.
    """

    images: Tensor
    labels: Tensor
    streams = False

    def __len__(self) -> int:
        return self.images.shape[0]

    def take(self, indices: Tensor) -> Tensor:
        """Return the images at `indices` `[B]`."""
        return self.images[indices]

    def to(self, device: torch.device) -> "Split":
        """Return the same split on a device."""
        return Split(self.images.to(device), self.labels.to(device))

    def subset(self, indices: Tensor) -> "Split":
        """Return the samples at `indices` `[M]`, int64, in that order."""
        return Split(self.images[indices], self.labels[indices])

    def content(self) -> Iterator[Buffer]:
        """Yield all shapes, images and labels."""
        for tensor in (self.images, self.labels):
            yield repr((str(tensor.dtype), tuple(tensor.shape))).encode()
            yield tensor.cpu().contiguous().numpy().data


@dataclass(frozen=True)
class Dataset:
    """A data set.

    Attributes:
        name: As in a spec; for simulated events it contains "simulated".
        num_classes: K.
        in_channels: C.
        input_size: H = W of the network's input, in pixels.
        mean: Mean of each channel of the training set, in the units of the samples.
        std: Standard deviation of each channel, in the same units.
        train: The training set, in file order.
        test: The test set, in file order.
        source: The data set's origin, as text for people.
        T: Number of frames that a sample of events was cut into; None for still images.
        classes: The names of the K classes, by label; None if they have none.
    """

    name: str
    num_classes: int
    in_channels: int
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Samples
    test: Samples
    source: str
    T: int | None = None
    classes: tuple[str, ...] | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the content of both sets."""
        sha = hashlib.sha256()
        for piece in chain(self.train.content(), self.test.content()):
            sha.update(piece)
        return sha.hexdigest()

    @cached_property
    def facts(self) -> dict[str, str | int]:
        """The facts about the data that every attempt at a stage records.

        `name`, `digest` (of the content) and `source` (where it came from); `num_classes`; `num_test`, the number of
        test samples, and `num_test_majority`, how many of them belong to the test set's largest class.
        """
        return {
            "name": self.name,
            "digest": self.digest,
            "source": readable(self.source),
            "num_classes": self.num_classes,
            "num_test": len(self.test),
            "num_test_majority": int(self.test.labels.bincount().max()),
        }

    @property
    def is_events(self) -> bool:
        """Whether a sample is a recording cut into frames, and not a still image."""
        return self.T is not None

    def normalise(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """Return `(images - mean) / std`, by channel; see `normalised`."""
        return normalised(images, self.mean, self.std, dtype)

    def to_input(self, images: Tensor, T: int) -> Tensor:
        """Return the network's input: a still image T times (a view), or the frames of a recording.

        Args:
            images: `[B, C, H, W]`, or frames `[B, T, C, H, W]`.
            T: Number of time steps that the network is run for.

        Returns:
            `[T, B, C, H, W]`.

        Raises:
            ConfigError: If the recordings were cut for another T.
        """
        if not self.is_events:
            return repeat_over_time(images, T)
        if images.shape[1] != T:
            raise ConfigError("T", T, f"the recordings of {self.name} were cut into {images.shape[1]} frames")
        return images.transpose(0, 1)


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype) -> Tensor:
    """Return `(images - mean) / std`, by channel.

    Args:
        images: `[B, C, H, W]` or `[B, T, C, H, W]`, on any device.
        mean: One number for each channel, or one for all channels.
        std: One number for each channel, or one for all channels.
        dtype: The type of the result.

    Returns:
        The same shape, on the same device.
    """
    means = torch.tensor(mean, dtype=dtype, device=images.device).view(-1, 1, 1)
    stds = torch.tensor(std, dtype=dtype, device=images.device).view(-1, 1, 1)
    return images.to(dtype).sub_(means).div_(stds)


def described(
    card: DatasetCard,
    train: Samples,
    test: Samples,
    *,
    name: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    source: str,
    T: int | None = None,
    classes: Sequence[str] | None = None,
    whole: bool = True,
) -> Dataset:
    """Return a data set whose other fields are those of its card, after checking it against the card.

    Args:
        card: The data set's card.
        train: The training set.
        test: The test set.
        name: As for `Dataset`.
        mean: As for `Dataset`.
        std: As for `Dataset`.
        source: As for `Dataset`.
        T: As for `Dataset`.
        classes: As for `Dataset`.
        whole: Whether the numbers of samples must be the card's; otherwise any are accepted.

    Raises:
        DataError: As for `check_against_card`.
    """
    named = None if classes is None else tuple(classes)
    dataset = Dataset(
        name, card.num_classes, card.in_channels, card.input_size, mean, std, train, test, source, T, named
    )
    return check_against_card(dataset, card if whole else card.model_copy(update={"num_train": None, "num_test": None}))


def check_against_card(dataset: Dataset, card: DatasetCard) -> Dataset:
    """Return a data set after checking it against its card, with integer labels cast to int64.

    Labels of any integer type are accepted, and any sequence of K different names of classes. Samples in memory may be
    integers, bool (0 and 1) or finite floating point numbers; mean and standard deviation have their units.

    Raises:
        DataError: If a size differs from the card's, a set is empty, labels are not integers or out of range, a sample
            in memory is not finite, mean and standard deviation do not normalise to finite numbers, or the names of the
            classes are not K different texts.
    """
    mean, std = checked_statistics(dataset.mean, dataset.std, card.in_channels, dataset.name)
    train, test = (
        _in_accepted_types(samples, dataset.name, part)
        for part, samples in (("train", dataset.train), ("test", dataset.test))
    )
    classes = checked_classes(dataset.classes, card.num_classes, dataset.name)
    dataset = replace(dataset, mean=mean, std=std, train=train, test=test, classes=classes)
    shape: tuple[int, ...] = (card.in_channels, card.input_size, card.input_size)
    if dataset.T is not None:
        shape = (dataset.T, *shape)
    for part, samples, number in (("train", dataset.train, card.num_train), ("test", dataset.test, card.num_test)):
        what = f"{dataset.name}: the labels of the {part} set"
        labels = check_tensor(samples.labels, what)
        if labels.ndim == 2:
            check_labels(labels, card.num_classes, what)
        if len(samples) == 0:
            raise DataError(f"{dataset.name}: the {part} set is empty ({dataset.source})")
        # Samples that are decoded are checked when they are taken.
        sample_shape = shape if samples.streams else tuple(samples.take(torch.zeros(1, dtype=torch.int64)).shape[1:])
        expected = len(samples) if number is None else number
        if (len(samples), *sample_shape) != (expected, *shape) or tuple(labels.shape) != (expected,):
            raise DataError(
                f"{dataset.name}: the {part} set has images {(len(samples), *sample_shape)} and labels "
                f"{tuple(labels.shape)}; expected {(expected, *shape)} and {(expected,)}"
            )
        check_labels(labels, card.num_classes, what)
    return dataset


def _in_accepted_types(samples: Samples, name: str, part: str) -> Samples:
    """Return samples in memory with the types that a network takes; other samples are checked when they are taken."""
    if not isinstance(samples, Split):
        return samples
    what = f"{name}: the images of the {part} set"
    images = check_tensor(samples.images, what)
    labels = check_tensor(samples.labels, f"{name}: the labels of the {part} set")
    split = replace(samples, images=cast_images(images), labels=cast_labels(labels))
    check_images(split.images, what)
    return split
