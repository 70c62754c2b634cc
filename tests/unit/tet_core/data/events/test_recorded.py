"""Tests of data sets of AEDAT 2.0 files: CIFAR10-DVS, and recordings in a user's folders."""

import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.tet_core.recordings import HEADER, write_aedat
from tet_core.config import DvsCifar10, EventFolder
from tet_core.data import DataError, load_dataset
from tet_core.data.events.recorded import CLASSES, load_event_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))


def dvs_cifar10(root: Path, per_class: int, *, sensor: int = 128) -> Path:
    drawn = random.Random(0)
    for name in CLASSES:
        for number in range(per_class):
            t = 0
            rows = []
            for _ in range(30):
                t += drawn.randrange(2000)
                rows.append((t, drawn.randrange(sensor), drawn.randrange(sensor), drawn.randrange(2)))
            write_aedat(root / "dvs_cifar10" / name / f"cifar10_{name}_{number}.aedat", rows)
    return root


def test_the_test_set_is_the_recordings_with_the_highest_numbers_of_each_class(tmp_path: Path) -> None:
    dvs_cifar10(tmp_path, 0)
    for name in CLASSES:
        for number in range(12):  # one event, whose column is ten times the number
            path = tmp_path / "dvs_cifar10" / name / f"cifar10_{name}_{number}.aedat"
            write_aedat(path, [(0, number * 10, 0, 1)])
    dataset = load_dataset(DvsCifar10(input_size=128), tmp_path, T=1)
    assert (len(dataset.train), len(dataset.test)) == (110, 10)
    columns = dataset.test.take(torch.arange(10)).argmax(-1)[:, 0, 1, 0]
    assert columns.tolist() == [110] * 10, "number 11, not number 9, whose name sorts last"
    columns = dataset.train.take(torch.arange(110)).argmax(-1)[:, 0, 1, 0]
    assert columns.tolist() == [number * 10 for number in range(11)] * 10
    assert dataset.test.labels.tolist() == list(range(10))
    assert dataset.source == f"{tmp_path / 'dvs_cifar10'}, 120 of 10,000 recordings: a selection"
    assert (dataset.mean, dataset.std, dataset.T) == ((0, 0), (1, 1), 1)


@pytest.mark.parametrize("slicing", ["count", "time"])
@pytest.mark.parametrize("T", [1, 4, 10])
def test_every_event_of_every_file_is_counted(tmp_path: Path, slicing: str, T: int) -> None:
    config = DvsCifar10.model_validate({"slicing": slicing})
    dataset = load_dataset(config, dvs_cifar10(tmp_path, 2), T=T)
    frames = dataset.train.take(torch.arange(10))
    assert frames.shape == (10, T, 2, 48, 48)
    assert frames.sum((1, 2, 3, 4)).tolist() == [30] * 10


def test_the_digest_depends_on_the_frames_and_the_cache_on_the_files(tmp_path: Path) -> None:
    one = load_dataset(DvsCifar10(), dvs_cifar10(tmp_path / "a", 2), T=2)
    other = load_dataset(DvsCifar10(), dvs_cifar10(tmp_path / "b", 2), T=2)
    assert one.digest == other.digest, "copied files have other modification times"
    assert one.digest != load_dataset(DvsCifar10(), tmp_path / "a", T=3).digest
    assert len(list((tmp_path / "a" / ".frames").glob("[0-9a-f]*"))) == 2


def test_the_error_of_missing_recordings_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("dvs_cifar10", tmp_path, T=4)
    for part in (
        str(tmp_path / "dvs_cifar10"),
        "airplane",
        "figshare.com",
        "8.0 GB",
        "TET_DATA",
        "cifar10_cat_0.aedat",
    ):
        assert part in str(caught.value)
    (tmp_path / "dvs_cifar10").mkdir()
    (tmp_path / "dvs_cifar10" / "cat.zip").touch()
    with pytest.raises(DataError, match=r"has cat\.zip; unpack them there"):
        load_dataset("dvs_cifar10", tmp_path, T=4)


def test_damaged_and_empty_recordings_are_named(tmp_path: Path) -> None:
    path = dvs_cifar10(tmp_path, 2) / "dvs_cifar10" / "frog" / "cifar10_frog_1.aedat"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: truncated"):
        load_dataset("dvs_cifar10", tmp_path, T=4)
    path.write_bytes(HEADER)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: an empty recording"):
        load_dataset("dvs_cifar10", tmp_path, T=4)
    path.unlink()
    with pytest.raises(DataError, match=r"class 6 has only one sample; .* the class is 'frog'"):
        load_dataset("dvs_cifar10", tmp_path, T=4)
    path.with_name("cifar10_frog_0.aedat").unlink()
    with pytest.raises(DataError, match=r"frog: no file ends in \.aedat"):
        load_dataset("dvs_cifar10", tmp_path, T=4)


def config(**fields: object) -> EventFolder:
    return EventFolder.model_validate({"folder": "my/events", "num_classes": 2, "input_size": 8, **fields})


def test_a_users_recordings_are_split_by_the_data_sets_seed(tmp_path: Path) -> None:
    for name in ("left", "right"):
        for number in range(10):
            write_aedat(tmp_path / "my" / "events" / name / f"{number}.aedat", [(0, number, 0, 1)])
    sizes = {"sensor_size": 16, "input_size": 16}
    dataset = load_dataset(config(**sizes), tmp_path, T=1)
    assert (len(dataset.train), len(dataset.test)) == (16, 4)
    assert dataset.test.labels.tolist() == [0, 0, 1, 1]
    assert dataset.source.endswith("split drawn with seed 0, test share 0.2")
    other = load_dataset(config(**sizes, split_seed=1), tmp_path, T=1)
    assert not torch.equal(dataset.test.take(torch.arange(4)), other.test.take(torch.arange(4)))


def test_a_changed_recording_makes_new_frames(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in "ab":
            write_aedat(tmp_path / "my" / "events" / part / name / "1.aedat", [(0, 0, 0, 1)])
    first = load_event_folder(config(), tmp_path, 1)
    path = write_aedat(tmp_path / "my" / "events" / "train" / "a" / "1.aedat", [(0, 127, 0, 1)])
    os.utime(path, ns=(1, 1))
    second = load_event_folder(config(), tmp_path, 1)
    assert np.array_equal(first.test.take(torch.arange(2)), second.test.take(torch.arange(2)))
    assert int(second.train.take(torch.tensor([0]))[0, 0, 1, 0].argmax()) == 7
    assert len(list((tmp_path / ".frames").glob("[0-9a-f]*"))) == 2
    assert first.source.endswith("split given by the folders train and test")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"num_classes": 3}, r"events: holds 2 class folders \(a, b\); num_classes is 3"),
        ({"folder": "elsewhere"}, "event_folder is not here: looked for .*/elsewhere; put one folder"),
        ({"sensor_size": 64}, r"b/2\.aedat: event 1 has x = 64, which is not from 0 to 63"),
    ],
)
def test_folders_that_are_not_as_the_config_says_are_refused(
    tmp_path: Path, fields: dict[str, object], complaint: str
) -> None:
    for name in "ab":
        for number in range(3):
            rows = [(0, 1, 2, 1), (1, 64 if (name, number) == ("b", 2) else 3, 0, 0)]
            write_aedat(tmp_path / "my" / "events" / name / f"{number}.aedat", rows)
    with pytest.raises(DataError, match=complaint):
        load_dataset(config(**fields), tmp_path, T=2)
