"""Data sets from other packages that are installed on the nodes, found by name.

Shapes: N samples, B samples of a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import Buffer

from tet_core import entry_points
from tet_core.config import DATASET_ENTRY_POINTS, DatasetCard, EntryPointDataset
from tet_core.data.accepted import cast_images, cast_labels, check_images
from tet_core.data.dataset import Dataset, Samples, Split, check_against_card
from tet_core.errors import DataError, errors_of_entry_point


def load_installed(config: EntryPointDataset, root: Path, T: int | None) -> Dataset:
    """Call the function that a package offers under `tet.datasets`, and check its data set against the spec.

    The function gets `root` (the data root), `T` (None for still images) and the spec's options, and returns a
    `tet_core.Dataset`.

    Raises:
        ConfigError: If no package offers the name, or the function does not take these options.
        DataError: If the function returns no data set, or one that differs from the spec.
        EntryPointError: If the function's code fails.
    """
    dataset = entry_points.call_entry_point(DATASET_ENTRY_POINTS, config.entry_point, config.options, root=root, T=T)
    name = f"entry_point {config.entry_point!r}"
    if not isinstance(dataset, Dataset):
        raise DataError(f"{name} gave a {type(dataset).__name__}; it must be a tet_core.Dataset")
    expected_fields = (config.num_classes, config.in_channels, config.input_size, T)
    given_fields = (dataset.num_classes, dataset.in_channels, dataset.input_size, dataset.T)
    for field, expected, given in zip(
        ("num_classes", "in_channels", "input_size", "T"), expected_fields, given_fields, strict=True
    ):
        if expected != given:
            raise DataError(f"{name} gave {field} {given}; the spec says {expected}")
    card = config.card()
    shape = (*([] if T is None else [T]), card.in_channels)
    train, test = (_guarded(samples, config.entry_point, shape, card) for samples in (dataset.train, dataset.test))
    return check_against_card(replace(dataset, train=train, test=test), card)


def _guarded(samples: Samples, name: str, shape: tuple[int, ...], card: DatasetCard) -> Samples:
    """Return samples whose errors name their entry point; return a `Split` unchanged, because its code is ours."""
    return samples if isinstance(samples, Split) else _SamplesOfEntryPoint(samples, name, shape, card.input_size)


@dataclass(frozen=True)
class _SamplesOfEntryPoint:
    """Samples of another package; a call raises an `EntryPointError` if that package's code fails.

    Attributes:
        samples: The package's samples.
        name: The package's entry point.
        shape: The shape of a sample without its pixels: `[C]`, or `[T, C]` for events.
        input_size: H = W of the network's input; a sample may be larger.
    """

    samples: Samples
    name: str
    shape: tuple[int, ...]
    input_size: int

    @property
    def labels(self) -> Tensor:
        """`[N]`, int64 or uint8; `check_against_card` refuses labels that are not a tensor of integers."""
        with errors_of_entry_point(self.name):
            labels = self.samples.labels
        return cast_labels(labels) if isinstance(labels, Tensor) else labels

    @property
    def streams(self) -> bool:
        """Whether `take` has to read or decode."""
        with errors_of_entry_point(self.name):
            return self.samples.streams

    def __len__(self) -> int:
        with errors_of_entry_point(self.name):
            return len(self.samples)

    def take(self, indices: Tensor) -> Tensor:
        """Return the samples at `indices` `[B]`; see `Samples.take`.

        Raises:
            DataError: If the package's code does not return B samples of the right shape, or one is not finite.
            EntryPointError: If the package's code fails.
        """
        with errors_of_entry_point(self.name):
            taken = self.samples.take(indices)
        expected = (len(indices), *self.shape)
        if not isinstance(taken, Tensor) or not self._fits(taken.shape, expected):
            shape = tuple(taken.shape) if isinstance(taken, Tensor) else type(taken).__name__
            raise DataError(
                f"entry_point {self.name!r}: take gave {shape} for {len(indices)} samples; it must give "
                f"[B, C, H, W], of events [B, T, C, H, W], here {(*expected, self.input_size, self.input_size)}, or "
                "larger images"
            )
        images = cast_images(taken)
        check_images(images, f"entry_point {self.name!r}: samples that take gave")
        return images

    def _fits(self, shape: torch.Size, expected: tuple[int, ...]) -> bool:
        *first, height, width = shape if len(shape) > 1 else (*shape, 0, 0)
        return tuple(first) == expected and min(height, width) >= self.input_size

    def subset(self, indices: Tensor) -> "_SamplesOfEntryPoint":
        """Return the samples at `indices` `[M]`."""
        with errors_of_entry_point(self.name):
            return replace(self, samples=self.samples.subset(indices))

    def to(self, device: torch.device) -> "_SamplesOfEntryPoint":
        """Return the same samples; their `take` gives tensors on a device."""
        with errors_of_entry_point(self.name):
            return replace(self, samples=self.samples.to(device))

    def content(self) -> Iterator[Buffer]:
        """Yield the bytes that distinguish these samples from others."""
        with errors_of_entry_point(self.name):
            yield from self.samples.content()
