"""Tests of CIFAR in its published formats, and of the errors for damaged files."""

import hashlib
import io
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.original_data import write_cifar10, write_cifar100
from tests.unit.tet_core.file_server import serving
from tet_core.config import Cifar10, Cifar100
from tet_core.data import DataError, Dataset, cifar, load_dataset
from tet_core.data.download import RemoteFile

NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens


def test_the_python_version_of_cifar10_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    write_cifar10(folder)
    dataset = load_dataset("cifar10", tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (10, 2)
    third = pickle.loads((folder / "data_batch_2").read_bytes(), encoding="bytes")
    image = torch.from_numpy(third[b"data"][0].copy()).view(3, 32, 32)
    assert torch.equal(dataset.train.take(torch.tensor([2]))[0], image)
    assert dataset.train.labels[2] == third[b"labels"][0]
    assert "10 of 50,000 samples: not the published set" in dataset.source
    assert dataset.classes is not None
    assert dataset.classes[3] == "cat"


def test_files_in_the_folder_itself_are_found(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "cifar10")
    assert len(load_dataset("cifar10", tmp_path).train) == 10


def test_cifar100_has_its_fine_labels(tmp_path: Path) -> None:
    write_cifar100(tmp_path / "cifar100" / "cifar-100-python")
    dataset = load_dataset("cifar100", tmp_path)
    assert dataset.train.labels.tolist() == [0, 7, 14, 21, 28, 35, 42, 49]
    assert (dataset.num_classes, len(dataset.test)) == (100, 4)
    assert dataset.classes is not None
    assert (dataset.classes[0], dataset.classes[49], dataset.classes[99]) == ("apple", "mountain", "worm")


def test_both_versions_hold_the_same_samples(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "python" / "cifar10")
    binary = tmp_path / "binary" / "cifar10" / "cifar-10-batches-bin"
    binary.mkdir(parents=True)
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        batch = pickle.loads((tmp_path / "python" / "cifar10" / name).read_bytes(), encoding="bytes")
        labels = np.array(batch[b"labels"], np.uint8)[:, None]
        (binary / f"{name}.bin").write_bytes(np.concatenate((labels, batch[b"data"]), 1).tobytes())
    one, other = (load_dataset("cifar10", tmp_path / version) for version in ("python", "binary"))
    assert one.digest == other.digest


def test_the_binary_version_of_cifar100_has_its_fine_label_second(tmp_path: Path) -> None:
    folder = tmp_path / "cifar100" / "cifar-100-binary"
    folder.mkdir(parents=True)
    for name in ("train.bin", "test.bin"):
        (folder / name).write_bytes(bytes([3, 77]) + bytes(3072))
    assert load_dataset("cifar100", tmp_path).train.labels.tolist() == [77]


def test_a_batch_pickled_by_python_2_is_read(tmp_path: Path) -> None:
    """The arrays of such a batch name the module numpy.core, which has another name today."""
    write_cifar10(tmp_path / "cifar10")
    for file in (tmp_path / "cifar10").iterdir():
        file.write_bytes(file.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert len(load_dataset("cifar10", tmp_path).train) == 10


class _Program:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "damaged, truncated or not a batch"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]}, 2)[:-900], "damaged, truncated"),
        (pickle.dumps({"data": _Program(), "labels": []}, 2), "refused: it asks for __builtin__.eval"),
        (pickle.dumps({"labels": [1]}, 2), "has no 'data' or no 'labels'"),
        (pickle.dumps({"data": np.zeros((2, 3071), np.uint8), "labels": [1, 2]}, 2), "must be uint8 of"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, 2), "'labels' must be 2 integers"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}, 2), "record 1 has label 10"),
    ],
)
def test_a_damaged_batch_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    write_cifar10(tmp_path / "cifar10")
    file = tmp_path / "cifar10" / "data_batch_3"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(file))}: .*{complaint}"):
        load_dataset("cifar10", tmp_path)


def test_a_truncated_binary_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "cifar100"
    folder.mkdir()
    (folder / "test.bin").write_bytes(bytes(3074))
    (folder / "train.bin").write_bytes(bytes(3074 + 100))
    with pytest.raises(DataError, match=r"train\.bin: damaged or truncated: 3174 bytes are not a number of records"):
        load_dataset("cifar100", tmp_path)


def test_the_error_of_missing_files_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar100 is not here: looked for .*cifar-100-python.* \(169 MB\) and put it"):
        cifar.load_cifar(Cifar100(), tmp_path, url=NOWHERE)


def _archive(folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    return content.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    """Return a small archive of CIFAR-10."""
    write_cifar10(tmp_path / "made" / "cifar-10-batches-py")
    return _archive(tmp_path / "made" / "cifar-10-batches-py")


def load_from(archive: bytes, root: Path, url: str = NOWHERE) -> Dataset:
    """Load CIFAR-10 with `archive` in place of the published archive."""
    file = RemoteFile("cifar-10-python.tar.gz", len(archive), hashlib.md5(archive).hexdigest(), "md5")
    return cifar.load_cifar(Cifar10(), root, url=url, archive=file)


def test_the_archive_is_fetched_checked_and_unpacked_once(tmp_path: Path, archive: bytes) -> None:
    root = tmp_path / "root"
    with serving(tmp_path / "served") as server:
        (server.folder / "cifar-10-python.tar.gz").write_bytes(archive)
        for _ in range(2):
            assert len(load_from(archive, root, server.url).train) == 10
        assert len(server.ranges) == 1
    left = {path.name for path in (root / "cifar10").iterdir() if not path.name.endswith(".lock")}
    assert left == {"cifar-10-python.tar.gz", "cifar-10-batches-py"}


def test_an_archive_that_is_already_there_is_unpacked(tmp_path: Path, archive: bytes) -> None:
    own = tmp_path / "root" / "cifar10"
    own.mkdir(parents=True)
    (own / "cifar-10-python.tar.gz").write_bytes(archive)
    assert len(load_from(archive, tmp_path / "root").train) == 10


def test_a_wrong_download_is_deleted(tmp_path: Path, archive: bytes) -> None:
    with serving(tmp_path / "served") as server:
        (server.folder / "cifar-10-python.tar.gz").write_bytes(archive[:-1] + b"x")
        with pytest.raises(DataError, match=r"with MD5 [0-9a-f]{32}; expected .* deleted"):
            load_from(archive, tmp_path / "root", server.url)
    assert not list((tmp_path / "root").rglob("*.part"))


def test_a_truncated_archive_is_named(tmp_path: Path, archive: bytes) -> None:
    own = tmp_path / "root" / "cifar10"
    own.mkdir(parents=True)
    (own / "cifar-10-python.tar.gz").write_bytes(archive[: len(archive) // 2])
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz: damaged or truncated"):
        load_from(archive, tmp_path / "root")
    assert not (own / "cifar-10-batches-py").exists()
