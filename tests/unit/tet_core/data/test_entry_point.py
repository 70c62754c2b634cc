"""Data sets of other packages."""

import sys
from pathlib import Path

import pytest

from tet_core import fit, load_dataset
from tet_core.config import EntryPointDataset, TrainConfig

PACKAGE = """
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
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is installed as others would install it, and an empty data root."""
    (tmp_path / "lab_data.py").write_text(PACKAGE)
    info = tmp_path / "lab_data-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-data\nVersion: 1.0\n")
    names = ("build", "events", "nothing")
    (info / "entry_points.txt").write_text(
        "[tet.datasets]\n" + "".join(f"{name} = lab_data:{name}\n" for name in names)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lab_data", raising=False)
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_a_data_set_of_another_package_is_trained_on(root: Path) -> None:
    config = TrainConfig.model_validate(
        {
            "dataset": {
                "name": "entry_point",
                "entry_point": "build",
                "num_classes": 3,
                "in_channels": 1,
                "input_size": 8,
            },
            "model": {"name": "vgg_small", "width": 4},
            "T": 2,
            "epochs": 4,
            "loss": {"name": "tet"},
            "batch_size": 16,
            "optimizer": {"name": "adam", "lr": 0.01},
        }
    )
    assert fit(config, data_root=root).metrics["test/accuracy"] > 0.6


def test_events_of_another_package_are_asked_for_by_their_T(root: Path) -> None:
    config = EntryPointDataset(entry_point="events", num_classes=2, in_channels=2, input_size=8, is_events=True)
    assert load_dataset(config, root, T=5).T == 5


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"entry_point": "other"},
            "entry_point is 'other'; installed here under 'tet.datasets': build, events, nothing",
        ),
        ({"entry_point": "nothing"}, "entry_point 'nothing' gave a str; it must be a tet_core.Dataset"),
        ({"num_classes": 4}, "entry_point 'build' gave num_classes 3; the spec says 4"),
        ({"options": {"size": 16}}, "entry_point 'build' gave input_size 16; the spec says 8"),
    ],
)
def test_what_does_not_do_is_named(root: Path, changes: dict[str, object], fault: str) -> None:
    fields: dict[str, object] = {"entry_point": "build", "num_classes": 3, "in_channels": 1, "input_size": 8}
    with pytest.raises(ValueError, match=fault):
        load_dataset(EntryPointDataset.model_validate(fields | changes), root)
