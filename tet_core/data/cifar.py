"""CIFAR-10 and CIFAR-100 from the published files, in their python or their binary version.

The files are looked for in `<data root>/cifar10` or `<data root>/cifar100`, or in a subfolder with the name that the
archive unpacks to. If they are missing, the archive is looked for in the same place, and otherwise downloaded.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import os
import pickle
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tet_core.config import Cifar10, Cifar100
from tet_core.data.dataset import DataError, Dataset, Split, described
from tet_core.data.download import RemoteFile, download
from tet_core.files import only_one
from tet_core.inventory.published import CIFAR, CIFAR10_CLASSES, CIFAR100_CLASSES, CifarVersions, Parts, cifar_folder

URL = "https://www.cs.toronto.edu/~kriz/"
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Published:
    """The published form of one data set: its folders, its files by part, its archive, the statistics of its pixels."""

    files: CifarVersions
    labels_key: str
    binary_label_bytes: int  # number of bytes before the pixels of a record; the last one is the (fine) label
    archive: RemoteFile
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# Sizes and MD5 checksums are the publisher's. Means and standard deviations, of pixels from 0 to 1, are the paper's.
_PUBLISHED = {
    "cifar10": _Published(
        CIFAR["cifar10"],
        "labels",
        1,
        RemoteFile("cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a", "md5"),
        (0.4914, 0.4822, 0.4465),
        (0.2023, 0.1994, 0.2010),
    ),
    "cifar100": _Published(
        CIFAR["cifar100"],
        "fine_labels",
        2,
        RemoteFile("cifar-100-python.tar.gz", 169_001_437, "eb9058c3a382ffc7106e4002c42a8d85", "md5"),
        (0.5071, 0.4867, 0.4408),
        (0.2675, 0.2565, 0.2761),
    ),
}


def load_cifar(config: Cifar10 | Cifar100, root: Path, *, url: str = URL, archive: RemoteFile | None = None) -> Dataset:
    """Load CIFAR-10 or CIFAR-100.

    Args:
        config: Names CIFAR-10 or CIFAR-100.
        root: The data root.
        url: The URL of the archive's folder, with a slash at the end.
        archive: The archive to unpack or download, with its checksum; None: the published one.

    Raises:
        DataError: If the data set is missing and cannot be downloaded, or a file is damaged; the message tells which.
    """
    published, card = _PUBLISHED[config.name], config.card()
    if archive is not None:
        published = replace(published, archive=archive)
    folder, parts, read = _find(config.name, published, root, url)
    train, test = (_joined([read(folder / name, published, card.num_classes) for name in names]) for names in parts)
    source = str(folder) + _unlike(len(train), card.num_train) + _unlike(len(test), card.num_test)
    mean, std = statistics_of(config)
    return described(
        card,
        train,
        test,
        name=config.name,
        mean=mean,
        std=std,
        source=source,
        classes=CIFAR10_CLASSES if isinstance(config, Cifar10) else CIFAR100_CLASSES,
        whole=False,
    )


def statistics_of(config: Cifar10 | Cifar100) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, in grey levels (0 to 255)."""
    published = _PUBLISHED[config.name]
    return _in_levels(published.mean), _in_levels(published.std)


def _in_levels(values: tuple[float, float, float]) -> tuple[float, ...]:
    return tuple(255 * value for value in values)


def _unlike(found: int, published: int | None) -> str:
    """Return a remark for `source` if the files hold a selection, which must not be taken for the whole set."""
    return "" if found == published else f" ({found:,} of {published:,} samples: not the published set)"


_Reader = Callable[[Path, _Published, int], Split]


def _find(name: str, published: _Published, root: Path, url: str) -> tuple[Path, Parts, _Reader]:
    """Return the folder with all files, their names by part, and the function that reads them."""
    folder = root / name
    located = _present(published, folder)
    if located is None:
        try:
            _unpack(folder, published, url)
        except DataError as error:
            first_file = published.files.python.parts[0][0]
            raise DataError(
                f"{name} is not here: looked for its python version ({first_file}, ...) and its"
                f" binary version in {folder}, {folder / published.files.python.folder} and "
                f"{folder / published.files.binary.folder}, and for {published.archive.name}. "
                f"Get {url}{published.archive.name} ({published.archive.num_bytes / 1e6:.0f} MB) "
                f"and put it, or what it unpacks to, into {folder} "
                f"(set TET_DATA or the data root for another place). {error}"
            ) from error
        located = _present(published, folder)
        assert located is not None
    return located


def _present(published: _Published, own: Path) -> tuple[Path, Parts, _Reader] | None:
    for files, read in ((published.files.python, _read_pickle), (published.files.binary, _read_binary)):
        if (folder := cifar_folder(files, own)) is not None:
            return folder, files.parts, read
    return None


def _unpack(folder: Path, published: _Published, url: str) -> None:
    """Extract the files of the archive, and download it if necessary; several processes may call this at once."""
    archive, target = download(url, published.archive, folder), folder / published.files.python.folder
    with only_one(folder / ".unpack.lock"), tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as temporary:
        if _present(published, folder) is not None:  # another process was faster
            return
        unpacked = Path(temporary, target.name)
        unpacked.mkdir()
        try:
            with tarfile.open(archive) as tar:
                for name in (name for part in published.files.python.parts for name in part):
                    _extract(tar, f"{published.files.python.folder}/{name}", unpacked / name)
        except (tarfile.TarError, EOFError, OSError, KeyError, zlib.error) as error:
            raise DataError(f"{archive}: damaged or truncated ({error}); delete it") from error
        if target.exists():  # the folder is there, but some of its files are missing
            shutil.rmtree(target)
        os.replace(unpacked, target)


def _extract(tar: tarfile.TarFile, name: str, target: Path) -> None:
    """Write one file of an archive to `target`, whatever path the archive gives it."""
    content = tar.extractfile(name)
    if content is None:
        raise tarfile.TarError(f"{name} is not a file")
    with content, target.open("wb") as out:
        shutil.copyfileobj(content, out)


def _joined(splits: list[Split]) -> Split:
    return Split(torch.cat([split.images for split in splits]), torch.cat([split.labels for split in splits]))


def _as_split(path: Path, pixels: Tensor, labels: Tensor, num_classes: int) -> Split:
    """Return the split of a file's records, `pixels` `[N, 3072]` (red, green, blue, each row by row)."""
    wrong = ((labels < 0) | (labels >= num_classes)).nonzero().flatten()
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{path}: damaged: record {first} has label {int(labels[first])}; must be 0 to {num_classes - 1}"
        )
    return Split(pixels.reshape(-1, 3, 32, 32), labels)


def _read_binary(path: Path, published: _Published, num_classes: int) -> Split:
    record = published.binary_label_bytes + _PIXELS
    content = bytearray(path.read_bytes())
    if len(content) == 0 or len(content) % record:
        raise DataError(f"{path}: damaged or truncated: {len(content)} bytes are not a number of records of {record}")
    values = torch.frombuffer(content, dtype=torch.uint8).view(-1, record)
    labels = values[:, published.binary_label_bytes - 1].to(torch.int64)
    return _as_split(path, values[:, published.binary_label_bytes :].contiguous(), labels, num_classes)


def _read_pickle(path: Path, published: _Published, num_classes: int) -> Split:
    batch = _unpickled(path)
    try:
        pixels, labels = batch["data"], batch[published.labels_key]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not a batch of CIFAR: has no 'data' or no {published.labels_key!r}") from error
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
        raise DataError(f"{path}: not a batch of CIFAR: 'data' must be uint8 of [N, {_PIXELS}]")
    if not isinstance(labels, list) or len(labels) != len(pixels) or any(type(label) is not int for label in labels):
        raise DataError(f"{path}: not a batch of CIFAR: {published.labels_key!r} must be {len(pixels)} integers")
    # A copy: an array that numpy unpickles may not be writable, which torch needs.
    return _as_split(path, torch.from_numpy(pixels.copy()), torch.tensor(labels, dtype=torch.int64), num_classes)


def _encoded(text: str, encoding: str) -> bytes:
    """Return bytes that Python 3 pickled as text, as it does in protocol 2; no other codec is looked up."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused: encoding {encoding!r}")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """An unpickler of numpy's arrays and plain containers, which refuses all other names: a pickle is a program."""

    _KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("_codecs", "encode"): _encoded,
    }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return one of the few objects that a batch needs."""
        try:
            return self._KNOWN[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"refused: it asks for {module_name}.{global_name}") from None


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            batch = _Unpickler(stream, encoding="latin1").load()
        return {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    except Exception as error:  # damaged bytes make a pickle fail in any way
        raise DataError(f"{path}: damaged, truncated or not a batch of CIFAR ({error}); get it again") from error
