"""Tests of the cache of frames: it is written once, whole or not at all, also by several writers at the same time."""

import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tet_core.data import DataError
from tet_core.data.events.cache import FOLDER, FrameRequest, cached
from tet_core.data.events.samples import parts
from tet_core.data.stepping import calling

N, T, S = 5, 2, 3


def frame(sample: int) -> NDArray[np.int16]:
    return np.full((T, 2, S, S), sample, np.int16)


class Maker:
    """A maker of frames that counts its calls, and may fail after some frames."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.made, self.fail_after = 0, fail_after

    def __call__(self) -> Iterator[NDArray[np.int16]]:
        self.made += 1
        for sample in range(N):
            if sample == self.fail_after:
                raise DataError("x.aedat: truncated")
            yield frame(sample)


def request(maker: Maker, **recipe: object) -> FrameRequest:
    return FrameRequest("events", recipe, N, T, S, maker)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    return tmp_path / "own"


def test_frames_are_made_once_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = Maker()
    for _ in range(2):
        found = cached(request(maker), tmp_path)
        np.testing.assert_array_equal(found.frames, np.stack([frame(sample) for sample in range(N)]))
    assert maker.made == 1
    assert "events: frames of 5 of 5 recordings" in capsys.readouterr().err
    (folder,) = [path for path in (tmp_path / FOLDER).iterdir() if path.is_dir()]
    assert json.loads((folder / "recipe.json").read_text())["shape"] == [N, T, 2, S, S]


def test_everything_that_frames_depend_on_is_in_the_key(tmp_path: Path) -> None:
    keys = {
        replace(request(Maker(), slicing="count"), **change).key
        for change in ({}, {"T": 3}, {"input_size": 4}, {"num_samples": 6}, {"recipe": {"slicing": "time"}})
    }
    assert len(keys) == 5
    assert replace(request(Maker()), name="other").key == request(Maker()).key


@pytest.mark.parametrize("name", ["frames.npy", "sha256.npy"])
@pytest.mark.parametrize("damage", [-1, 60, 0, None])
def test_a_damaged_cache_is_made_again(tmp_path: Path, name: str, damage: int | None) -> None:
    maker = Maker()
    cached(request(maker), tmp_path)
    path = tmp_path / FOLDER / request(maker).key / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:damage])
    np.testing.assert_array_equal(cached(request(maker), tmp_path).frames[4], frame(4))
    assert maker.made == 2
    assert not list((tmp_path / FOLDER).glob(".*.tmp"))


def test_a_failed_writer_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.aedat: truncated"):
        cached(request(Maker(fail_after=3)), tmp_path)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [f".{request(Maker()).key}.lock"]


def test_the_folder_of_a_killed_writer_is_no_cache_and_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / FOLDER / f".{request(Maker()).key}.0badcafe.tmp"
    leftover.mkdir(parents=True)
    (leftover / "frames.npy").write_bytes(b"half")
    other = tmp_path / FOLDER / ".another.0badcafe.tmp"
    other.mkdir()
    maker = Maker()
    cached(request(maker), tmp_path)
    assert maker.made == 1
    assert not leftover.exists()
    assert other.exists(), "another cache's writer may be running"


def _write_until_killed(root: Path, reached: "multiprocessing.synchronize.Event") -> None:
    def half() -> Iterator[NDArray[np.int16]]:
        yield frame(0)
        yield frame(1)
        reached.set()
        multiprocessing.Event().wait()

    cached(replace(request(Maker()), make=half), root)


def test_a_writer_killed_in_the_middle_leaves_no_cache_and_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    reached = context.Event()
    process = context.Process(target=_write_until_killed, args=(tmp_path, reached))
    process.start()
    assert reached.wait(60)
    process.kill()
    process.join(60)
    assert len(list((tmp_path / FOLDER).glob(".*.tmp"))) == 1
    maker = Maker()
    np.testing.assert_array_equal(cached(request(maker), tmp_path).frames[4], frame(4))
    assert maker.made == 1
    assert not list((tmp_path / FOLDER).glob(".*.tmp"))


def _write_in_a_process(root: Path, log: Path, start: "multiprocessing.synchronize.Barrier") -> None:
    class Counting(Maker):
        def __call__(self) -> Iterator[NDArray[np.int16]]:
            with log.open("a") as file:
                file.write("made\n")
            return super().__call__()

    start.wait()
    np.testing.assert_array_equal(cached(request(Counting()), root).frames[4], frame(4))


@pytest.mark.slow
def test_of_several_writers_one_writes_and_all_read(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    log = tmp_path / "log"
    processes = [context.Process(target=_write_in_a_process, args=(tmp_path, log, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text() == "made\n"


def test_if_the_root_cannot_be_written_the_users_cache_is_used(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / FOLDER).write_text("a file in the place of the folder: not even root can write here")
    maker = Maker()
    for _ in range(2):
        cached(request(maker), tmp_path / "root")
    assert maker.made == 1
    assert (own_cache / "tet_core" / FOLDER / request(maker).key / "frames.npy").exists()


def test_if_neither_place_can_be_written_both_are_named(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "root").write_text("")
    own_cache.write_text("")
    message = f"recordings cannot be stored: {tmp_path}/root/.*; {own_cache}/tet_core/"
    with pytest.raises(DataError, match=message) as caught:
        cached(request(Maker()), tmp_path / "root")
    assert isinstance(caught.value.__cause__, NotADirectoryError)


def test_samples_take_subset_and_yield_their_content(tmp_path: Path) -> None:
    train, test = parts(cached(request(Maker()), tmp_path), torch.tensor([0, 1, 0]), torch.tensor([1, 1]))
    assert (len(train), len(test)) == (3, 2)
    taken = test.take(torch.tensor([1, 0, 1]))
    assert taken.dtype == torch.int16
    assert taken[:, 0, 0, 0, 0].tolist() == [4, 3, 4]
    some = train.subset(torch.tensor([2, 0])).to(torch.device("cpu"))
    assert some.take(torch.tensor([0, 1]))[:, 0, 0, 0, 0].tolist() == [2, 0]
    assert some.labels.tolist() == [0, 0]
    contents = [b"".join(bytes(piece) for piece in samples.content()) for samples in (train, test, some)]
    assert len(set(contents)) == 3
    again, _ = parts(cached(request(Maker(), other=1), tmp_path), torch.tensor([0, 1, 0]), torch.tensor([1, 1]))
    assert b"".join(bytes(piece) for piece in again.content()) == contents[0]


def test_the_writer_makes_a_step_for_each_recording(tmp_path: Path) -> None:
    steps: list[None] = []
    with calling(lambda: steps.append(None)):
        cached(request(Maker()), tmp_path)
    assert len(steps) == N
