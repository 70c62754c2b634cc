"""Data sets of recordings in files: CIFAR10-DVS, and recordings in the user's folders.

CIFAR10-DVS: Li et al., "CIFAR10-DVS: An Event-Stream Dataset for Object Classification", Frontiers in Neuroscience 11,
2017. It has no split; ours is that of Deng et al., ICLR 2022: the last 100 recordings of each class are the test set.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tet_core.config import DvsCifar10, EventFolder
from tet_core.data.bad_files import REFUSE, BadFileRule, settled
from tet_core.data.dataset import DataError, Dataset
from tet_core.data.events import aedat
from tet_core.data.events.cache import FrameRequest
from tet_core.data.events.clock import clock_fault
from tet_core.data.events.recording import Events, check_range, frames
from tet_core.data.events.samples import of_frames
from tet_core.data.folders import Listing, list_parts, listing_of
from tet_core.inventory.inspection import folder_of, inventory_of, missing_folders
from tet_core.inventory.published import CIFAR10_CLASSES
from tet_core.inventory.reader import RECORDING_SUFFIXES
from tet_core.inventory.scanning import readable
from tet_core.inventory.shares import PER_CLASS, num_last

CLASSES = CIFAR10_CLASSES
# Version of the rules by which a recording is refused: increase it when they change.
READER = 1
_READERS = 4  # number of threads: numpy releases the interpreter's lock for most of the work on a recording
_AHEAD = 64  # number of recordings that are read before the first of them is written


def load_dvs_cifar10(config: DvsCifar10, root: Path, T: int) -> Dataset:
    """Load CIFAR10-DVS from `<root>/dvs_cifar10/<class>/cifar10_<class>_<number>.aedat`.

    If a class does not have 1,000 recordings, the last tenth of its recordings is the test set, and `source` says so.

    Raises:
        DataError: If the data set is missing (the message says where to get it), or a recording is damaged or empty.
    """
    if (missing := missing_folders(config, root)) is not None:
        raise DataError(missing)
    inventory = inventory_of(config, root)
    for fault in inventory.faults(len(CLASSES)):
        raise DataError(fault.detail)
    inventory, words = settled(inventory, REFUSE)
    whole = listing_of(inventory.train)
    is_test = _last_of_each_class(whole.labels)
    train, test = (whole.pick(mask.nonzero().flatten()) for mask in (~is_test, is_test))
    complete = bool((whole.labels.bincount() == PER_CLASS).all())
    selection = "" if complete else f", {len(whole.files)} of {PER_CLASS * len(CLASSES):,} recordings: a selection"
    source = f"{inventory.folder}{selection}{words}"
    return _dataset(config, root, (train, test), source, T)


def load_event_folder(config: EventFolder, root: Path, T: int) -> Dataset:
    """Load a user's recordings from class folders.

    Raises:
        DataError: If folders are missing or differ from the config, or a recording is damaged, empty, has events
            outside `sensor_size` or a clock that was set; the message names the file.
    """
    if (missing := missing_folders(config, root)) is not None:
        raise DataError(missing)
    listed = list_parts(
        folder_of(config, root),
        RECORDING_SUFFIXES,
        num_classes=config.num_classes,
        share=config.test,
        seed_=config.split_seed,
        rule=_rule(config, root),
    )
    source = f"{folder_of(config, root)}, {listed.split}"
    return _dataset(config, root, (listed.train, listed.test), source, T)


def _rule(config: EventFolder, root: Path) -> BadFileRule:
    if config.bad_files == "refuse":
        return REFUSE

    def fault_of(path: Path) -> str | None:
        try:
            check_range(_read(path, config), config.sensor_size, str(path))
        except DataError as error:
            return str(error).removeprefix(f"{path}: ")
        return None

    depends_on = {"reader": READER, "slicing": config.slicing, "sensor_size": config.sensor_size}
    return BadFileRule(config.max_bad_share, fault_of, depends_on, root)


def _read(path: Path, config: DvsCifar10 | EventFolder) -> Events:
    """Read a recording and check its clock.

    The published recordings are used as they are, so their faulty clocks are only reported.

    Raises:
        DataError: If it is damaged or empty, or its clock was set.
    """
    events = aedat.read_aedat(path)
    if len(events.t) == 0:
        raise DataError(f"{path}: an empty recording, without events; remove the file")
    if (fault := clock_fault(events, config.slicing)) is not None:
        if isinstance(config, EventFolder):
            raise DataError(f"{path}: {fault}")
        print(readable(f"{path}: {fault}"), file=sys.stderr, flush=True)
    return events


def _dataset(
    config: DvsCifar10 | EventFolder, root: Path, listed: tuple[Listing, Listing], source: str, T: int
) -> Dataset:
    files = [*listed[0].files, *listed[1].files]
    recipe = {
        "dataset": config.name,
        "files": _files_sha256(files, root),
        "slicing": config.slicing,
        "sensor_size": _sensor_size(config),
    }

    def make() -> Iterator[NDArray[np.int16]]:
        return frames_of_files(files, config, T)

    request = FrameRequest(config.name, recipe, len(files), T, config.input_size, make)
    classes = [readable(name) for name in listed[0].classes]
    return of_frames(config.card(), request, root, listed[0].labels, listed[1].labels, source, classes)


def _sensor_size(config: DvsCifar10 | EventFolder) -> int:
    return config.sensor_size if isinstance(config, EventFolder) else aedat.SENSOR_SIZE


def frames_of_files(files: Sequence[Path], config: DvsCifar10 | EventFolder, T: int) -> Iterator[NDArray[np.int16]]:
    """Yield the T frames `[T, 2, S, S]` of one recording after another.

    Raises:
        DataError: If a recording is damaged, empty, has events outside the camera's array or a clock that was set; the
            message names the file.
    """
    sensor_size = _sensor_size(config)

    def of_one(path: Path) -> NDArray[np.int16]:
        events, size = _read(path, config), config.input_size
        return frames(events, T, config.slicing, sensor_size=sensor_size, input_size=size, name=str(path))

    with ThreadPoolExecutor(_READERS, thread_name_prefix="recordings") as readers:
        for first in range(0, len(files), _AHEAD):
            yield from readers.map(of_one, files[first : first + _AHEAD])


def _files_sha256(files: Sequence[Path], root: Path) -> str:
    """Return the SHA-256 over the names, sizes and modification times of the recordings, in their order."""
    digest = sha256()
    for path in files:
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        digest.update(repr((path.relative_to(root).as_posix(), state.st_size, state.st_mtime_ns)).encode())
    return digest.hexdigest()


def _last_of_each_class(labels: Tensor) -> Tensor:
    """Return the mask `[N]` of the test samples."""
    is_test = torch.zeros_like(labels, dtype=torch.bool)
    for label in range(len(CLASSES)):
        members = (labels == label).nonzero().flatten()
        is_test[members[len(members) - num_last(len(members)) :]] = True
    return is_test
