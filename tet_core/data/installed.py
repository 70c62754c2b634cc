"""Data sets from other packages that are installed on the nodes, found by name.

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
    """Call the function that a package offers under `tet.datasets`, and check its data set against the spec.

    It is called with `root` (the data root), `T` (None for still images) and the spec's options, and returns a
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
    train, test = (_guarded(samples, config.entry_point) for samples in (dataset.train, dataset.test))
    return check_against_card(replace(dataset, train=train, test=test), config.card())


def _guarded(samples: Samples, name: str) -> Samples:
    """Return samples whose errors name their entry point; a `Split` needs none, because it is this package's code."""
    return samples if isinstance(samples, Split) else _SamplesOfEntryPoint(samples, name)


@dataclass(frozen=True)
class _SamplesOfEntryPoint:
    """Samples of another package; a call raises an `EntryPointError` if that package's code fails.

    Attributes:
        samples: The package's samples.
        name: The package's entry point.
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
            DataError: If the package's code does not return B samples.
            EntryPointError: If the package's code fails.
        """
        with errors_of_entry_point(self.name):
            taken = self.samples.take(indices)
        if not isinstance(taken, Tensor) or taken.ndim < 4 or len(taken) != len(indices):
            shape = tuple(taken.shape) if isinstance(taken, Tensor) else type(taken).__name__
            raise DataError(
                f"entry_point {self.name!r}: take gave {shape} for {len(indices)} samples; it must give "
                "[B, C, H, W], of events [B, T, C, H, W]"
            )
        return taken

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
