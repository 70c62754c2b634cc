"""Data sets from packages that others installed on the nodes, asked for by name.

Shapes: N samples, B of a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import Buffer

from tet_core import entry_points
from tet_core.config import DATASET_ENTRY_POINTS, EntryPointDataset
from tet_core.data.dataset import Dataset, Samples, Split, check_against_card
from tet_core.errors import DataError, errors_of_entry_point


def load_installed(config: EntryPointDataset, root: Path, T: int | None) -> Dataset:
    """Call what a package offers under `tet.datasets`, and check that it gives what the spec says.

    It is called with `root` (the data root), `T` (None for still images) and the spec's options, and returns a
    `tet_core.Dataset`.

    Raises:
        ConfigError: If no package offers it, or it does not take these options.
        DataError: If what it gives is no data set, or another one than the spec says.
        EntryPointError: If its code fails.
    """
    dataset = entry_points.call_entry_point(DATASET_ENTRY_POINTS, config.entry_point, config.options, root=root, T=T)
    name = f"entry_point {config.entry_point!r}"
    if not isinstance(dataset, Dataset):
        raise DataError(f"{name} gave a {type(dataset).__name__}; it must be a tet_core.Dataset")
    said = (config.num_classes, config.in_channels, config.input_size, T)
    found = (dataset.num_classes, dataset.in_channels, dataset.input_size, dataset.T)
    for field, expected, given in zip(("num_classes", "in_channels", "input_size", "T"), said, found, strict=True):
        if expected != given:
            raise DataError(f"{name} gave {field} {given}; the spec says {expected}")
    train, test = (_guarded(samples, config.entry_point) for samples in (dataset.train, dataset.test))
    return check_against_card(replace(dataset, train=train, test=test), config.card())


def _guarded(samples: Samples, name: str) -> Samples:
    """Samples whose errors name their entry point; `Split` is this package's own code."""
    return samples if isinstance(samples, Split) else _SamplesOfEntryPoint(samples, name)


@dataclass(frozen=True)
class _SamplesOfEntryPoint:
    """Samples by another package's code, each call of which raises an `EntryPointError` if that code fails.

    Attributes:
        samples: The package's own.
        name: Its entry point.
    """

    samples: Samples
    name: str

    @property
    def labels(self) -> Tensor:
        """`[N]`, int64."""
        with errors_of_entry_point(self.name):
            return self.samples.labels

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
            DataError: If there are not B of them.
            EntryPointError: If the package's code fails.
        """
        with errors_of_entry_point(self.name):
            taken = self.samples.take(indices)
        if not isinstance(taken, Tensor) or taken.ndim < 4 or len(taken) != len(indices):
            found = tuple(taken.shape) if isinstance(taken, Tensor) else type(taken).__name__
            raise DataError(
                f"entry_point {self.name!r}: take gave {found} for {len(indices)} samples; it must give "
                "[B, C, H, W], of events [B, T, C, H, W]"
            )
        return taken

    def subset(self, indices: Tensor) -> "_SamplesOfEntryPoint":
        """Return the samples at `indices` `[M]`."""
        with errors_of_entry_point(self.name):
            return replace(self, samples=self.samples.subset(indices))

    def to(self, device: torch.device) -> "_SamplesOfEntryPoint":
        """Return the same samples, given on a device."""
        with errors_of_entry_point(self.name):
            return replace(self, samples=self.samples.to(device))

    def content(self) -> Iterator[Buffer]:
        """Yield the bytes that distinguish these samples from others."""
        with errors_of_entry_point(self.name):
            yield from self.samples.content()
