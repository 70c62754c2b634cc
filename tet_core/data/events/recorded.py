"""Data sets of recordings in files: CIFAR10-DVS, and recordings in the user's folders.

CIFAR10-DVS: Li et al., "CIFAR10-DVS: An Event-Stream Dataset for Object Classification", Frontiers in Neuroscience 11,
2017. It has no split; ours is that of Deng et al., ICLR 2022: the last 100 recordings of each class are the test set.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tet_core.config import DvsCifar10, EventFolder
from tet_core.data.dataset import DataError, Dataset
from tet_core.data.events import aedat
from tet_core.data.events.cache import FrameRequest
from tet_core.data.events.recording import Slicing, frames
from tet_core.data.events.samples import of_frames
from tet_core.data.folders import Listing, list_classes, list_parts

SUFFIXES = (".aedat",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
URL = "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671"
SIZE = "ten zip files, 8.0 GB"
PER_CLASS, TEST_PER_CLASS = 1_000, 100
_READERS = 4  # number of threads: numpy releases the interpreter's lock for most of the work on a recording
_AHEAD = 64  # number of recordings that are read before the first of them is written


def load_dvs_cifar10(config: DvsCifar10, root: Path, T: int) -> Dataset:
    """Load CIFAR10-DVS from `<root>/dvs_cifar10/<class>/cifar10_<class>_<number>.aedat`.

    If a class does not have 1,000 recordings, the last tenth of its recordings is the test set, and `source` says so.

    Raises:
        DataError: If the data set is missing (the message says where to get it), or a recording is damaged or empty.
    """
    folder = root / config.name
    if missing := [name for name in CLASSES if not (folder / name).is_dir()]:
        raise DataError(_how_to_get_it(folder, missing))
    whole = list_classes(folder, SUFFIXES, CLASSES)
    is_test = _last_of_each_class(whole.labels, folder)
    train, test = (whole.pick(mask.nonzero().flatten()) for mask in (~is_test, is_test))
    complete = bool((whole.labels.bincount() == PER_CLASS).all())
    num_published = PER_CLASS * len(CLASSES)
    source = str(folder) if complete else f"{folder}, {len(whole.files)} of {num_published:,} recordings: a selection"
    return _dataset(config, aedat.SENSOR_SIZE, root, (train, test), source, T)


def load_event_folder(config: EventFolder, root: Path, T: int) -> Dataset:
    """Load a user's recordings from class folders.

    Raises:
        DataError: If folders are missing or differ from the config, or a recording is damaged, empty, or has pixels
            outside `sensor_size`; the message names the file.
    """
    folder = root / config.folder
    listed = list_parts(folder, SUFFIXES, num_classes=config.num_classes, share=config.test, seed_=config.split_seed)
    source = f"{folder}, {listed.split}"
    return _dataset(config, config.sensor_size, root, (listed.train, listed.test), source, T)


def _dataset(
    config: DvsCifar10 | EventFolder, sensor_size: int, root: Path, listed: tuple[Listing, Listing], source: str, T: int
) -> Dataset:
    files = [*listed[0].files, *listed[1].files]
    recipe = {
        "dataset": config.name,
        "files": _files_sha256(files, root),
        "slicing": config.slicing,
        "sensor_size": sensor_size,
    }

    def make() -> Iterator[NDArray[np.int16]]:
        return _frames_of(files, T, config.slicing, sensor_size, config.input_size)

    request = FrameRequest(config.name, recipe, len(files), T, config.input_size, make)
    return of_frames(config.card(), request, root, listed[0].labels, listed[1].labels, source)


def _frames_of(
    files: Sequence[Path], T: int, slicing: Slicing, sensor_size: int, input_size: int
) -> Iterator[NDArray[np.int16]]:
    """Yield the frames of one file after another."""

    def of_one(path: Path) -> NDArray[np.int16]:
        events = aedat.read_aedat(path)
        if len(events.t) == 0:
            raise DataError(f"{path}: an empty recording, without events; remove the file")
        return frames(events, T, slicing, sensor_size=sensor_size, input_size=input_size, name=str(path))

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


def _last_of_each_class(labels: Tensor, folder: Path) -> Tensor:
    """Return the mask `[N]` of the test samples."""
    is_test = torch.zeros_like(labels, dtype=torch.bool)
    for label, name in enumerate(CLASSES):
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            raise DataError(f"{folder / name}: holds only one recording; training and testing need at least 2")
        number = TEST_PER_CLASS if len(members) == PER_CLASS else max(len(members) // 10, 1)
        is_test[members[len(members) - number :]] = True
    return is_test


def _how_to_get_it(folder: Path, missing: Sequence[str]) -> str:
    packed = [name for name in missing if (folder / f"{name}.zip").exists()]
    if packed:
        return f"dvs_cifar10: {folder} has {', '.join(f'{name}.zip' for name in packed)}; unpack them there"
    return (
        f"dvs_cifar10 is not here: looked for the class folders {', '.join(missing)} in {folder}. Get CIFAR10-DVS "
        f"({SIZE}) from {URL} and unpack them into {folder}, so that there is {folder / 'cat' / 'cifar10_cat_0.aedat'} "
        f"(set TET_DATA or the data root for another place)"
    )
