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
        "import torch\n"
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
        "        self.register_buffer('seen', torch.ones(1))\n"
        "        self.state = 0.0\n"
        "    def forward(self, x):\n"
        "        if self.fault == 'raises':\n"
        "            raise ValueError('64 is no cube')\n"
        "        outputs = self.linear(x.mean((3, 4)))\n"
        "        if self.fault == 'state':\n"
        "            self.state = torch.tanh(outputs.mean() + self.state)\n"
        "            return outputs + self.state\n"
        "        if self.fault == 'blown up':\n"
        "            self.seen *= 1e30\n"
        "        return FAULTS.get(self.fault, lambda y: y)(outputs)\n"
        "FAULTS = {\n"
        "    'shape': lambda y: y.mean(0), 'batch first': lambda y: y.transpose(0, 1), 'tuple': lambda y: (y, y),\n"
        "    'classes': lambda y: y[..., 1:], 'nothing': lambda y: None, 'integers': lambda y: y.long(),\n"
        "    'detached': lambda y: y.detach(), 'device': lambda y: y.to('meta'),\n"
        "}\n"
        "def untrainable(*, fault, **arguments):\n"
        "    model = nn.Linear(2, 10, device='meta' if fault == 'meta' else None)\n"
        "    if fault == 'no parameters':\n"
        "        return nn.Flatten()\n"
        "    if fault == 'lazy':\n"
        "        return nn.Sequential(nn.LazyLinear(10))\n"
        "    if fault == 'integers':\n"
        "        model.table = nn.Parameter(torch.arange(3), requires_grad=False)\n"
        "        return model\n"
        "    if fault == 'not finite':\n"
        "        model.weight.data.fill_(float('nan')), model.bias.data.fill_(float('inf'))\n"
        "    return model.requires_grad_(fault != 'frozen')\n"
        "class Masked(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv, self.head = nn.Conv3d(1, 4, 3, padding=1), nn.Linear(4, 10)\n"
        "        self.register_buffer('mask', torch.full((2, 2), float('-inf')).triu(1))\n"
        "    def forward(self, x):\n"
        "        features = self.conv(x.permute(1, 2, 0, 3, 4)).relu().mean((3, 4)).permute(2, 0, 1)\n"
        "        return self.head(torch.einsum('ts,sbc->tbc', self.mask.softmax(1), features))\n"
        "def masked(**arguments):\n"
        "    return Masked()\n"
        "def net(*, num_classes, in_channels, fault, **arguments):\n"
        "    return Net(fault, num_classes, in_channels)\n"
    )
    info = tmp_path / "lab_net-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-net\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tet.models]\n"
        + "".join(
            f"{name} = lab_net:{name}\n"
            for name in ("build", "broken", "gone", "masked", "net", "untrainable", "wrong")
        )
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
            "entry_point is 'other'; installed here under 'tet.models': broken, build, gone, masked, net, untrainable, "
            "wrong",
        ),
        (
            "buid",
            ConfigError,
            "entry_point is 'buid'; installed here under 'tet.models': broken, build, gone, masked, net, untrainable, "
            "wrong; did you mean 'build'?",
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
        (
            "shape",
            "entry_point 'net' gave outputs (128, 10); they must be [T, B, K], here (2, 128, 10): give the outputs of "
            "every step, because the loss takes the mean over time itself",
        ),
        (
            "batch first",
            "entry_point 'net' gave outputs (128, 2, 10); they must be [T, B, K], here (2, 128, 10): the axis of time "
            "must be the first",
        ),
        ("classes", "entry_point 'net' gave outputs (2, 128, 9); they must be [T, B, K], here (2, 128, 10)"),
        (
            "tuple",
            "entry_point 'net' gave outputs tuple; they must be [T, B, K], here (2, 128, 10): return this tensor alone "
            "(torch.stack joins one tensor for each step)",
        ),
        ("nothing", "entry_point 'net' gave outputs NoneType; they must be [T, B, K], here (2, 128, 10)"),
        (
            "integers",
            "entry_point 'net' gave outputs of torch.int64; they must be floating point, one for each class",
        ),
        (
            "detached",
            "entry_point 'net' gave outputs without a gradient, so nothing can be trained: the forward pass must not "
            "detach them, nor run under torch.no_grad()",
        ),
        (
            "device",
            "entry_point 'net' gave outputs on meta; they must be on cpu, as the input is",
        ),
        (
            "state",
            "entry_point 'net' keeps state from one batch to the next, so the gradient leads into an earlier batch: "
            "reset the state at the start of forward, or detach() it (RuntimeError: Trying to backward through the "
            "graph a second time",
        ),
        (
            "blown up",
            "after epoch 1 seen holds inf in 1 of 1 values; a lower learning rate may help, or a norm (tdbn), or in "
            "float16 a precision with a larger range (bfloat16)",
        ),
    ],
)
def test_a_forward_pass_that_fails_is_its_authors_fault(installed: None, fault: str, message: str) -> None:
    kind = FloatingPointError if fault == "blown up" else EntryPointError
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        fit(make_config("net", fault=fault))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no parameters", "without parameters, so there is nothing to train"),
        ("lazy", "whose 0.weight has no shape yet: run a lazy module once before you return it"),
        ("meta", "whose weight is on the device meta, without values: build it on the CPU"),
        ("integers", "whose parameter table is torch.int64; it must be floating point (or a buffer)"),
        ("frozen", "none of whose parameters requires a gradient, so there is nothing to train"),
        ("not finite", "that is not finite: weight holds nan in 20 of 20 values (and 1 more)"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_when_it_is_built(installed: None, fault: str, message: str) -> None:
    expected = f"entry_point 'untrainable' gave a model {message}"
    with pytest.raises(EntryPointError, match=f"^{re.escape(expected)}$"):
        build_model(
            "entry_point",
            num_classes=10,
            in_channels=2,
            input_size=8,
            entry_point="untrainable",
            options={"fault": fault},
        )


def test_a_mask_of_infinities_and_a_convolution_over_time_are_trained(installed: None) -> None:
    result = fit(make_config("masked"))
    assert result.checkpoint["model"]["mask"].isinf().any()
    assert result.metrics["train/loss"] < 2.4
