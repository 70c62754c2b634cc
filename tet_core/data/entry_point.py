"""Data sets from packages that others have installed on the nodes, asked for by name."""

from pathlib import Path

from tet_core import entry_points
from tet_core.config import DATASET_ENTRY_POINTS, EntryPointDataset
from tet_core.data.dataset import DataError, Dataset, check


def load(config: EntryPointDataset, root: Path, T: int | None) -> Dataset:
    """Call what a package offers under `tet.datasets`, and hold it to what the spec says.

    It is called with `root` (the data root), `T` (None for still images) and the spec's options, and returns a
    `tet_core.Dataset`.

    Raises:
        ValueError: If no package offers it, or it takes no such options.
        DataError: If what it gives is no data set, or another one than the spec says.
    """
    build = entry_points.load(DATASET_ENTRY_POINTS, config.entry_point)
    dataset = build(root=root, T=T, **config.options)
    name = f"entry_point {config.entry_point!r}"
    if not isinstance(dataset, Dataset):
        raise DataError(f"{name} gave a {type(dataset).__name__}; it must be a tet_core.Dataset")
    said = (config.num_classes, config.in_channels, config.input_size, T)
    found = (dataset.num_classes, dataset.in_channels, dataset.input_size, dataset.T)
    for field, expected, given in zip(("num_classes", "in_channels", "input_size", "T"), said, found, strict=True):
        if expected != given:
            raise DataError(f"{name} gave {field} {given}; the spec says {expected}")
    return check(dataset, config.card())
