"""Tests of data sets of other packages."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tet_core import fit, load_dataset
from tet_core.config import EntryPointDataset, TrainConfig
from tet_core.errors import ConfigError, DataError, EntryPointError

PACKAGE = """
import dataclasses
import torch
from tet_core import Dataset
from tet_core.data import Split

def build(root, T, size=8):
    draw = torch.Generator().manual_seed(1)
    def part(number):
        labels = torch.arange(number) % 3
        images = torch.randint(0, 99, (number, 1, size, size), generator=draw) + 70 * labels.view(-1, 1, 1, 1)
        return Split(images.to(torch.uint8), labels)
    return Dataset("lab", 3, 1, size, (120.0,), (60.0,), part(90), part(30), f"made up in {root.name}", T)

def events(root, T):
    split = Split(torch.ones((6, T, 2, 8, 8), dtype=torch.int16), torch.arange(6) % 2)
    return Dataset("lab events", 2, 2, 8, (0.0, 0.0), (1.0, 1.0), split, split, "made up", T)

def faulty(root, T, fault):
    data = build(root, T)
    one = data.train
    labels, images = one.labels, one.images
    changes = {
        "int32 labels": lambda: {"labels": labels.int()},
        "uint16 labels": lambda: {"labels": labels.to(torch.uint16)},
        "uint8 labels": lambda: {"labels": labels.byte()},
        "float labels": lambda: {"labels": labels.float()},
        "bool labels": lambda: {"labels": labels > 0},
        "one-hot labels": lambda: {"labels": torch.nn.functional.one_hot(labels)},
        "negative labels": lambda: {"labels": labels - 1},
        "numpy labels": lambda: {"labels": labels.numpy()},
        "listed labels": lambda: {"labels": labels.tolist()},
        "float images": lambda: {"images": images.float()},
        "int64 images": lambda: {"images": images.long()},
        "uint16 images": lambda: {"images": images.to(torch.uint16)},
        "bool images": lambda: {"images": images > 120},
        "complex images": lambda: {"images": images.to(torch.complex64)},
        "numpy images": lambda: {"images": images.numpy()},
        "a NaN pixel": lambda: {"images": images.float().index_put((torch.tensor(17),), torch.tensor(float("nan")))},
    }
    if fault in changes:
        return dataclasses.replace(data, train=dataclasses.replace(one, **changes[fault]()))
    if fault.startswith("taken"):
        return dataclasses.replace(data, train=Taking(one, fault), test=Taking(data.test, "taken"))
    nan = float("nan")
    statistics = {
        "std 0": {"std": (0.0,)}, "std nan": {"std": (nan,)}, "std negative": {"std": (-60.0,)},
        "std tiny": {"std": (1e-50,)}, "mean inf": {"mean": (float("inf"),)}, "mean short": {"mean": ()},
        "mean a number": {"mean": 120.0}, "mean a tensor": {"mean": torch.tensor([120.0])},
        "listed classes": {"classes": ["a", "b", "c"]}, "two classes": {"classes": ("a", "b")},
        "equal classes": {"classes": ("a", "b", "a")}, "classes a text": {"classes": "abc"},
    }
    return dataclasses.replace(data, **statistics[fault])

def nothing(root, T):
    return "no data set"

def broken(root, T, at="load"):
    if at == "load":
        raise ValueError("the drive is empty")
    parts = build(root, T)
    return dataclasses.replace(parts, train=Broken(parts.train, at), test=Broken(parts.test, "never"))

class Broken:
    streams = False

    def __init__(self, split, at):
        self.split, self.at, self.labels = split, at, split.labels

    def __len__(self):
        return len(self.split)

    def to(self, device):
        return self

    def content(self):
        return self.split.content()

    def subset(self, indices):
        return Broken(self.split.subset(indices), self.at)

    def take(self, indices):
        if self.at == "take" and len(indices) > 1:
            raise ValueError("sample 7 has no pixels")
        return self.split.take(indices)[: 1 if self.at == "count" else None]

class Taking(Broken):
    streams = True

    def subset(self, indices):
        return Taking(self.split.subset(indices), self.at)

    def take(self, indices):
        images = self.split.take(indices).float()
        if self.at == "taken nan":
            images[-1, 0, 3, 3] = float("nan")
        if self.at == "taken channels":
            return images.repeat(1, 3, 1, 1)
        return images[..., 1:] if self.at == "taken small" else images
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package with data sets, and return an empty data root."""
    (tmp_path / "lab_data.py").write_text(PACKAGE)
    info = tmp_path / "lab_data-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-data\nVersion: 1.0\n")
    names = ("broken", "build", "events", "faulty", "nothing")
    (info / "entry_points.txt").write_text(
        "[tet.datasets]\n" + "".join(f"{name} = lab_data:{name}\n" for name in names)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lab_data", raising=False)
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


FIELDS: dict[str, Any] = {"entry_point": "build", "num_classes": 3, "in_channels": 1, "input_size": 8}


def make_config(dataset: dict[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "dataset": dataset,
            "model": {"name": "vgg_small", "width": 4},
            "T": 2,
            "epochs": 4,
            "loss": {"name": "tet"},
            "batch_size": 16,
            "optimizer": {"name": "adam", "lr": 0.01},
        }
    )


def test_a_data_set_of_another_package_is_trained_on(root: Path) -> None:
    assert fit(make_config({"name": "entry_point"} | FIELDS), data_root=root).metrics["test/accuracy"] > 0.6


def test_an_event_data_set_of_another_package_gets_T(root: Path) -> None:
    config = EntryPointDataset(entry_point="events", num_classes=2, in_channels=2, input_size=8, is_events=True)
    assert load_dataset(config, root, T=5).T == 5


@pytest.mark.parametrize(
    ("changes", "kind", "fault"),
    [
        (
            {"entry_point": "other"},
            ConfigError,
            "entry_point is 'other'; installed here under 'tet.datasets': broken, build, events, faulty, nothing",
        ),
        (
            {"options": {"size": 8, "colour": 1}},
            ConfigError,
            "options is {'size': 8, 'colour': 1}; entry_point 'build' does not take colour",
        ),
        (
            {"entry_point": "nothing"},
            DataError,
            "entry_point 'nothing' gave a str; it must be a tet_core.Dataset",
        ),
        ({"num_classes": 4}, DataError, "entry_point 'build' gave num_classes 3; the spec says 4"),
        ({"options": {"size": 16}}, DataError, "entry_point 'build' gave input_size 16; the spec says 8"),
        (
            {"entry_point": "broken"},
            EntryPointError,
            "entry_point 'broken' raised ValueError: the drive is empty",
        ),
    ],
)
def test_a_data_set_that_cannot_be_loaded_is_named(
    root: Path, changes: dict[str, object], kind: type[Exception], fault: str
) -> None:
    with pytest.raises(kind, match=f"^{re.escape(fault)}$") as caught:
        load_dataset(EntryPointDataset.model_validate(FIELDS | changes), root)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("at", "kind", "fault"),
    [
        ("take", EntryPointError, "entry_point 'broken' raised ValueError: sample 7 has no pixels"),
        ("count", DataError, "entry_point 'broken': take gave (1, 1, 8, 8) for 16 samples; it must give"),
    ],
)
def test_samples_that_cannot_be_taken_are_a_fault_of_the_entry_point(
    root: Path, at: str, kind: type[Exception], fault: str
) -> None:
    dataset = {"name": "entry_point"} | FIELDS | {"entry_point": "broken", "options": {"at": at}}
    with pytest.raises(kind, match=re.escape(fault)) as caught:
        fit(make_config(dataset), data_root=root)
    assert type(caught.value) is kind


def faulty(fault: str) -> TrainConfig:
    return make_config({"name": "entry_point"} | FIELDS | {"entry_point": "faulty", "options": {"fault": fault}})


@pytest.mark.parametrize("kind", ["int32 labels", "uint16 labels", "uint8 labels", "int64 images", "uint16 images"])
def test_other_integer_types_give_the_same_weights_as_the_usual_types(root: Path, kind: str) -> None:
    usual = fit(make_config({"name": "entry_point"} | FIELDS), data_root=root)
    assert fit(faulty(kind), data_root=root).weights_sha256 == usual.weights_sha256


@pytest.mark.parametrize("kind", ["float images", "bool images", "mean a tensor", "taken"])
def test_floating_point_and_bool_samples_are_trained_on(root: Path, kind: str) -> None:
    first, *_, last = fit(faulty(kind), data_root=root).history.values()
    assert last["train/loss"] < first["train/loss"]


WHAT = "lab: the {} of the train set"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "float labels",
            f"{WHAT.format('labels')} are float32; they must be integers, from 0 to 2: cast with .long() if each value "
            "is the number of a class",
        ),
        (
            "bool labels",
            f"{WHAT.format('labels')} are bool; they must be integers, from 0 to 2: cast with .long() if each value is "
            "the number of a class",
        ),
        (
            "one-hot labels",
            f"{WHAT.format('labels')} have the shape (90, 3), one-hot or with an axis too many; they must be [N], "
            "integers from 0 to 2: .argmax(1) or .squeeze(1) makes them",
        ),
        (
            "negative labels",
            f"{WHAT.format('labels')} go from -1 to 1: there are labels outside 0 to 2 (num_classes is 3)",
        ),
        (
            "numpy labels",
            f"{WHAT.format('labels')} are of the type ndarray; they must be a torch.Tensor: torch.from_numpy(...) "
            "makes one",
        ),
        (
            "listed labels",
            f"{WHAT.format('labels')} are of the type list; they must be a torch.Tensor: torch.tensor(...) makes one",
        ),
        (
            "complex images",
            f"{WHAT.format('images')} are complex64; they must be uint8 (or another integer, bool or floating point, "
            "with mean and std in the same units)",
        ),
        (
            "numpy images",
            f"{WHAT.format('images')} are of the type ndarray; they must be a torch.Tensor: torch.from_numpy(...) "
            "makes one",
        ),
        (
            "a NaN pixel",
            f"{WHAT.format('images')} are not finite: sample 17 of 90 holds nan; remove or repair it",
        ),
        (
            "std 0",
            "lab: std is (0.0,); each must be above 0 (use 1 for a channel that is constant): samples are divided by "
            "it",
        ),
        (
            "std negative",
            "lab: std is (-60.0,); each must be above 0 (use 1 for a channel that is constant): samples are divided by "
            "it",
        ),
        (
            "std tiny",
            "lab: std is (1e-50,); each must be above 0 (use 1 for a channel that is constant): samples are divided by "
            "it",
        ),
        (
            "std nan",
            "lab: std is (nan,); it must be a finite number for each of 1 channels, in the units of the samples",
        ),
        (
            "mean inf",
            "lab: mean is (inf,); it must be a finite number for each of 1 channels, in the units of the samples",
        ),
        (
            "mean short",
            "lab: mean is (); it must be a finite number for each of 1 channels, in the units of the samples",
        ),
        (
            "mean a number",
            "lab: mean is 120.0; it must be a finite number for each of 1 channels, in the units of the samples",
        ),
        *(
            (fault, f"lab: classes is {classes}; it must be 3 different names, by label, or None")
            for fault, classes in (
                ("two classes", "('a', 'b')"),
                ("equal classes", "('a', 'b', 'a')"),
                ("classes a text", "'abc'"),
            )
        ),
        (
            "taken nan",
            "entry_point 'faulty': samples that take gave are not finite: sample 15 of 16 holds nan; remove or repair "
            "it",
        ),
        (
            "taken channels",
            "entry_point 'faulty': take gave (16, 3, 8, 8) for 16 samples; it must give [B, C, H, W], of events "
            "[B, T, C, H, W], here (16, 1, 8, 8), or larger images",
        ),
        (
            "taken small",
            "entry_point 'faulty': take gave (16, 1, 8, 7) for 16 samples; it must give [B, C, H, W], of events "
            "[B, T, C, H, W], here (16, 1, 8, 8), or larger images",
        ),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_by_name(root: Path, fault: str, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        fit(faulty(fault), data_root=root)


def test_the_names_of_the_classes_reach_the_checkpoint(root: Path) -> None:
    assert fit(faulty("listed classes"), data_root=root).checkpoint["data"] == {
        "classes": ["a", "b", "c"],
        "mean": [120.0],
        "std": [60.0],
    }
    assert fit(faulty("int32 labels"), data_root=root).checkpoint["data"]["classes"] is None


@pytest.mark.parametrize("step", ["autoaugment", "resized_crop"])
def test_an_augmentation_that_computes_with_integers_refuses_other_images(root: Path, step: str) -> None:
    config = TrainConfig.model_validate(faulty("float images").model_dump() | {"augmentation": [{"name": step}]})
    message = f"augmentation is '{step}'; it computes with whole numbers, and the images are torch.float32"
    with pytest.raises(ConfigError, match=re.escape(message)):
        fit(config, data_root=root)
