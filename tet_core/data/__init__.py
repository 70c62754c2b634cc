"""Data sets by name, whole in memory as uint8."""

import os
from functools import cache
from pathlib import Path

from tet_core.config import DATASETS, DatasetConfig
from tet_core.data.dataset import DataError as DataError
from tet_core.data.dataset import Dataset as Dataset
from tet_core.data.dataset import Split as Split


def load_dataset(dataset: str | DatasetConfig, root: Path | str | None = None) -> Dataset:
    """Load a data set; a second call for the same one in a process gives the same object.

    Args:
        dataset: Its name, or a config that names it.
        root: Folder with one folder a data set; by default `$TET_DATA`, else `~/.cache/tet_core`.

    Returns:
        The data set on the CPU. Do not write to its tensors: they are shared.

    Raises:
        ValueError: If the name is not known.
        DataError: If it is missing or damaged; says where it was looked for and how to get it.

    Example:
        >>> len(load_dataset("digits").train)
        1442
    """
    name = dataset if isinstance(dataset, str) else dataset.name
    if name not in DATASETS:
        raise ValueError(f"dataset is {name!r}; known are {', '.join(sorted(DATASETS))}")
    return _load(name, Path(root) if root is not None else default_root())


def default_root() -> Path:
    """The data root where none is given: `$TET_DATA`, else `~/.cache/tet_core`."""
    return Path(os.environ.get("TET_DATA") or Path.home() / ".cache" / "tet_core")


@cache
def _load(name: str, root: Path) -> Dataset:
    if name == "digits":
        from tet_core.data import digits

        return digits.load()
    from tet_core.data import fashion_mnist

    return fashion_mnist.load(root)
