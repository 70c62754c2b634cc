"""Data sets by name."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, assert_never

from pydantic import TypeAdapter, ValidationError

from tet_core.config import (
    DATASET_NAMES,
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
from tet_core.data.dataset import Dataset as Dataset
from tet_core.data.dataset import Samples as Samples
from tet_core.data.dataset import Split as Split
from tet_core.data.stepping import calling
from tet_core.errors import ConfigError
from tet_core.errors import DataError as DataError
from tet_core.inventory import default_root as default_root
from tet_core.inventory.inspection import folder_of
from tet_core.inventory.reader import IMAGE_READER, READER, of_images

_CONFIG: TypeAdapter[DatasetConfig] = TypeAdapter(DatasetConfig)
_MAX_LOADED = 8


def load_dataset(
    dataset: str | DatasetConfig,
    root: Path | str | None = None,
    *,
    T: int | None = None,
    on_step: Callable[[], object] | None = None,
) -> Dataset:
    """Load a data set; later calls for it return the same object, unless eight others were used in the meantime.

    Args:
        dataset: The data set's name, or its config.
        root: Folder with a folder for each data set; by default `$TET_DATA`, else `~/.cache/tet_core`.
        T: Number of frames that a recording of events is cut into; not used for still images.
        on_step: Called while files are checked or decoded ahead of use. If it raises an error, the work ends with it.

    Returns:
        The data set on the CPU. Do not write to its tensors: they are shared.

    Raises:
        ConfigError: If the name is not known, events are asked for without T, or no installed package offers the entry
            point.
        DataError: If the data set is missing or damaged; the message says where it was looked for and how to get it.
        EntryPointError: If the code behind an entry point fails.

    Example:
        >>> len(load_dataset("digits").train)
        1442
    """
    if isinstance(dataset, str) and dataset not in DATASET_NAMES:
        raise ConfigError("dataset", dataset, f"known are {', '.join(DATASET_NAMES)}")
    config = _CONFIG.validate_python({"name": dataset}) if isinstance(dataset, str) else dataset
    is_events = config.card().is_events
    if is_events and (T is None or T < 1):
        raise ConfigError("T", T, f"{config.name} holds events, which are cut into T frames: it must be at least 1")
    folder = Path(root) if root is not None else default_root()
    with calling(on_step):
        return _load(config.model_dump_json(), folder, T if is_events else None)


@lru_cache(_MAX_LOADED)
def _load(config_json: str, root: Path, T: int | None) -> Dataset:
    # Each module is imported only when needed: some take a second, or need packages that the other modules do not.
    config = _CONFIG.validate_json(config_json)
    match config:
        case Digits():
            from tet_core.data import digits

            return digits.load_digits(config)
        case FashionMnist():
            from tet_core.data import fashion_mnist

            return fashion_mnist.load_fashion_mnist(root)
        case Cifar10() | Cifar100():
            from tet_core.data import cifar

            return cifar.load_cifar(config, root)
        case EntryPointDataset():
            from tet_core.data import installed

            return installed.load_installed(config, root, T)
        case ImageNet():
            from tet_core.data import images

            return images.load_imagenet(config, root)
        case ImageFolder():
            from tet_core.data import images

            return images.load_folder(config, root)
        case DvsCifar10() | EventFolder() | Saccades():
            assert T is not None, "load_dataset refuses events without it"
            return _load_events(config, root, T)
        case unknown:
            assert_never(unknown)


def with_all_fields(dataset: object) -> object:
    """Return a stored config of a data set with the defaults of the fields that it lacks; another value unchanged."""
    try:
        return _CONFIG.validate_python(dataset).model_dump(mode="json")
    except ValidationError:  # the config is of another version; the caller compares it and reports the difference
        return dataset


def check_reader(
    record: Mapping[str, Any],
    config: DatasetConfig,
    root: Path | str | None = None,
    *,
    on_step: Callable[[], object] | None = None,
) -> None:
    """Check that work begun with an older reader of image files may continue.

    It may if this reader reads every file as the older one did.

    Args:
        record: The record of the environment in which the work was done so far.
        config: The data set of this work.
        root: As for `load_dataset`.
        on_step: As for `load_dataset`.

    Raises:
        EnvironmentMismatch: A file gives other pixels, or the older reader did not take it; the message names it. Or
            the record is of an unknown reader.
        DataError: As for `load_dataset`.
    """
    images_of = of_images(config)
    if images_of is None or record.get(IMAGE_READER, 1) == READER:
        return
    from tet_core.data import image_checks, images

    dataset = load_dataset(images_of, root, on_step=on_step)
    parts = [part for part in (dataset.train, dataset.test) if isinstance(part, images.ImageFiles)]
    files = [part.root / name for part in parts for name in part.names]
    data_root = Path(root) if root is not None else default_root()
    with calling(on_step):
        image_checks.check_reader(record, files, folder_of(images_of, data_root), data_root)


def _load_events(config: DvsCifar10 | EventFolder | Saccades, root: Path, T: int) -> Dataset:
    match config:
        case DvsCifar10():
            from tet_core.data.events import recorded

            return recorded.load_dvs_cifar10(config, root, T)
        case EventFolder():
            from tet_core.data.events import recorded

            return recorded.load_event_folder(config, root, T)
        case Saccades():
            from tet_core.data.events import saccades

            return saccades.simulate(config, _load(config.base.model_dump_json(), root, None), root, T)
        case unknown:
            assert_never(unknown)
