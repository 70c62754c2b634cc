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
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package with data sets, and return an empty data root."""
    (tmp_path / "lab_data.py").write_text(PACKAGE)
    info = tmp_path / "lab_data-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-data\nVersion: 1.0\n")
    names = ("broken", "build", "events", "nothing")
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


def test_events_of_another_package_are_asked_for_by_their_T(root: Path) -> None:
    config = EntryPointDataset(entry_point="events", num_classes=2, in_channels=2, input_size=8, is_events=True)
    assert load_dataset(config, root, T=5).T == 5


@pytest.mark.parametrize(
    ("changes", "kind", "fault"),
    [
        (
            {"entry_point": "other"},
            ConfigError,
            "entry_point is 'other'; installed here under 'tet.datasets': broken, build, events, nothing",
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
def test_samples_that_cannot_be_taken_are_their_authors_fault(
    root: Path, at: str, kind: type[Exception], fault: str
) -> None:
    dataset = {"name": "entry_point"} | FIELDS | {"entry_point": "broken", "options": {"at": at}}
    with pytest.raises(kind, match=re.escape(fault)) as caught:
        fit(make_config(dataset), data_root=root)
    assert type(caught.value) is kind
