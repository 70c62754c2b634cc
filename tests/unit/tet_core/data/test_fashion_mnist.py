"""Tests of Fashion-MNIST: its reader, the folders that it is read from, and its download from a local server."""

import gzip
import hashlib
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.unit.tet_core.file_server import Server, serving
from tet_core.config import FashionMnist
from tet_core.data import DataError, fashion_mnist, idx, load_dataset
from tet_core.data.download import RemoteFile, download

NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens


def gzipped(data: bytes) -> bytes:
    """Return compressed data without a time: the bytes are a part of test names, which must not change."""
    return gzip.compress(data, mtime=0)


def idx_bytes(values: Tensor) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.numpy().tobytes()


@pytest.mark.parametrize("shape", [(7,), (3, 28, 28)])
def test_the_reader_returns_the_written_values(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = torch.randint(0, 256, shape, dtype=torch.uint8)
    (tmp_path / "x.gz").write_bytes(gzipped(idx_bytes(values)))
    assert torch.equal(idx.read_idx(tmp_path / "x.gz"), values)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzipped(idx_bytes(torch.zeros(100, dtype=torch.uint8)))[:-12], "damaged or truncated"),
        (b"<html>no such file</html>", "damaged or truncated"),
        (gzipped(b"\0\0\x0d\1" + bytes(8)), r"not an IDX file of bytes: it starts with 00000d01"),
        (gzipped(b"\0\0\x08\3\0\0"), "truncated within its header"),
        (gzipped(idx_bytes(torch.zeros(9, dtype=torch.uint8))[:-1]), r"holds 8 values, expected 9 for shape"),
        (gzipped(idx_bytes(torch.zeros(9, dtype=torch.uint8)) + b"\0"), r"holds 10 values, expected 9"),
        (None, "no such file"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "train.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: {complaint}"):
        idx.read_idx(path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "served") as server:
        yield server


CONTENT = bytes(range(256)) * 1000
FILE = RemoteFile("data.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def test_a_download_is_checked_reported_and_put_in_place(server: Server, tmp_path: Path) -> None:
    (server.folder / FILE.name).write_bytes(CONTENT)
    seen: list[tuple[str, int, int]] = []
    path = download(server.url, FILE, tmp_path / "data", lambda *progress: seen.append(progress))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (FILE.name, len(CONTENT), len(CONTENT))
    assert not list(path.parent.glob("*.part"))
    download(server.url, FILE, tmp_path / "data")
    assert len(server.ranges) == 1, "a file that is there is not fetched again"


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_is_resumed_where_it_ended(server: Server, tmp_path: Path, knows_ranges: bool) -> None:
    (server.folder / FILE.name).write_bytes(CONTENT)
    server.break_after, server.knows_ranges = 1000, knows_ranges
    with pytest.raises(
        DataError, match=r"data\.gz: download to .* failed: .*1000 of 256000 bytes; try again to continue"
    ):
        download(server.url, FILE, tmp_path)
    assert not (tmp_path / FILE.name).exists()
    server.break_after = None
    assert download(server.url, FILE, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_wrong_bytes_are_deleted_and_both_checksums_are_named(server: Server, tmp_path: Path) -> None:
    (server.folder / FILE.name).write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(DataError, match=f"got 256000 bytes with SHA-256 .*expected 256000 with {FILE.digest}; deleted"):
        download(server.url, FILE, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(FILE.name)]


def test_the_error_of_missing_data_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fashion_mnist.load_fashion_mnist(tmp_path, debian_folder=tmp_path / "debian", url=NOWHERE)
    for part in (
        str(tmp_path / "fashion_mnist"),
        str(tmp_path / "debian"),
        "31 MB",
        NOWHERE,
        "TET_DATA",
        "dataset-fashion-mnist",
        "train-images-idx3-ubyte.gz",
    ):
        assert part in str(caught.value)


def test_the_data_root_comes_first_then_debians_folder(tmp_path: Path) -> None:
    root, debian = tmp_path / "root", tmp_path / "debian"
    for folder in (debian, root / "fashion_mnist"):
        folder.mkdir(parents=True)
        for file in fashion_mnist.FILES:
            (folder / file.name).touch()
        assert fashion_mnist.find_or_download(root, debian, NOWHERE) == folder


def test_other_data_under_the_name_of_fashion_mnist_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    for file in fashion_mnist.FILES:
        shape = (2, 28, 28) if "images" in file.name else (2,)
        (folder / file.name).write_bytes(gzipped(idx_bytes(torch.zeros(shape, dtype=torch.uint8))))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: not Fashion-MNIST as published: .*SHA-256"):
        load_dataset("fashion_mnist", tmp_path)


@pytest.mark.skipif(not fashion_mnist.DEBIAN_FOLDER.exists(), reason="Debian's dataset-fashion-mnist is not installed")
def test_debians_files_are_the_published_data(tmp_path: Path) -> None:
    dataset = fashion_mnist.load_fashion_mnist(tmp_path, url=NOWHERE)
    card = FashionMnist().card()
    assert (len(dataset.train), len(dataset.test)) == (card.num_train, card.num_test)
    assert dataset.classes is not None
    assert (dataset.classes[0], dataset.classes[9]) == ("T-shirt/top", "Ankle boot")
    x = dataset.normalise(dataset.train.take(torch.arange(len(dataset.train))), torch.float64)
    assert float(x.mean()) == pytest.approx(0, abs=1e-6)
    assert float(x.std(correction=0)) == pytest.approx(1, abs=1e-6)
