"""Tests of models of other packages."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tet_core import TrainConfig, fit
from tet_core.errors import ConfigError, EntryPointError
from tet_core.models import build_model


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that offers models, with the files that pip would write."""
    (tmp_path / "lab_net.py").write_text(
        "from torch import nn\n"
        "from tet_core.models.building_blocks import Block, Network\n"
        "from tet_core.config import Tdbn\n"
        "def build(*, num_classes, in_channels, input_size, num_steps, new_neuron, new_norm, width):\n"
        "    block = Block(in_channels, width, new_norm(Tdbn(), width), new_neuron())\n"
        "    return Network([block], width * input_size**2, num_classes)\n"
        "def wrong(**arguments):\n"
        "    return 'a text'\n"
        "def broken(**arguments):\n"
        "    raise ValueError('depth is odd')\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, fault, num_classes, in_channels):\n"
        "        super().__init__()\n"
        "        self.fault, self.linear = fault, nn.Linear(in_channels, num_classes)\n"
        "    def forward(self, x):\n"
        "        if self.fault == 'raises':\n"
        "            raise ValueError('64 is no cube')\n"
        "        outputs = self.linear(x.mean((3, 4)))\n"
        "        return outputs.mean(0) if self.fault == 'shape' else outputs\n"
        "def net(*, num_classes, in_channels, fault, **arguments):\n"
        "    return Net(fault, num_classes, in_channels)\n"
    )
    info = tmp_path / "lab_net-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-net\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tet.models]\n" + "".join(f"{name} = lab_net:{name}\n" for name in ("build", "broken", "gone", "net", "wrong"))
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lab_net", raising=False)


def make_config(name: str, **options: Any) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "dataset": {"name": "digits"},
            "T": 2,
            "epochs": 1,
            "loss": {"name": "tet"},
            "model": {"name": "entry_point", "entry_point": name, "options": options},
        }
    )


def test_a_model_of_another_package_is_trained(installed: None) -> None:
    assert fit(make_config("build", width=4)).metrics["test/accuracy"] > 0.2


@pytest.mark.parametrize(
    ("name", "kind", "fault"),
    [
        (
            "other",
            ConfigError,
            "entry_point is 'other'; installed here under 'tet.models': broken, build, gone, net, wrong",
        ),
        (
            "buid",
            ConfigError,
            "entry_point is 'buid'; installed here under 'tet.models': broken, build, gone, net, wrong; "
            "did you mean 'build'?",
        ),
        (
            "gone",
            ConfigError,
            "entry_point is 'gone'; lab_net:gone cannot be loaded: module 'lab_net' has no attribute 'gone'",
        ),
        ("wrong", EntryPointError, "entry_point 'wrong' gave a str; it must be an nn.Module"),
        ("broken", EntryPointError, "entry_point 'broken' raised ValueError: depth is odd"),
    ],
)
def test_an_entry_point_that_builds_no_model_is_named(
    installed: None, name: str, kind: type[Exception], fault: str
) -> None:
    with pytest.raises(kind, match=f"^{re.escape(fault)}$"):
        build_model("entry_point", num_classes=7, in_channels=2, input_size=8, entry_point=name)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raises", "entry_point 'net' raised ValueError: 64 is no cube"),
        ("shape", "entry_point 'net' gave outputs (128, 10); they must be [T, B, K], here (2, 128, 10)"),
    ],
)
def test_a_forward_pass_that_fails_is_its_authors_fault(installed: None, fault: str, message: str) -> None:
    with pytest.raises(EntryPointError, match=f"^{re.escape(message)}$"):
        fit(make_config("net", fault=fault))
