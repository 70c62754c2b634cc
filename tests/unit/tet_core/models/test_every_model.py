"""The residual networks, the networks of layers, and those from entry points."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tet_core import TrainConfig, fit
from tet_core.config import ReluConfig
from tet_core.errors import ConfigError, EntryPointError
from tet_core.models import build_model
from tet_core.neuron import ReLU

SIZES = {
    ("resnet19", 10, 3, 32): 12_630_858,
    ("vggsnn", 10, 2, 48): 9_271_498,
    ("cnn5", 10, 3, 32): 1_633_866,
    ("spiking_resnet34", 1000, 3, 224): 21_797_672,
    ("sew_resnet34", 1000, 3, 224): 21_797_672,
}
SMALL: dict[str, dict[str, Any]] = {
    "vgg_small": {"width": 2},
    "cnn5": {"width": 2},
    "vggsnn": {"width": 2},
    "resnet19": {"width": 4, "stem": 2},
    "spiking_resnet34": {"width": 2},
    "sew_resnet34": {"width": 2},
}


@pytest.mark.parametrize(("name", "num_classes", "in_channels", "input_size"), SIZES)
def test_the_numbers_of_parameters(name: str, num_classes: int, in_channels: int, input_size: int) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes=num_classes, in_channels=in_channels, input_size=input_size)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == SIZES[name, num_classes, in_channels, input_size]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("relu", [False, True])
def test_each_takes_any_input_that_fits_and_has_an_ann(name: str, relu: bool) -> None:
    for size in (16, 19, 32):
        neuron = ReluConfig() if relu else None
        model = build_model(name, num_classes=7, in_channels=2, input_size=size, neuron=neuron, **SMALL[name])
        assert model(torch.rand(2, 3, 2, size, size)).shape == (2, 3, 7)
        assert any(isinstance(module, ReLU) for module in model.modules()) == relu


@pytest.mark.parametrize("name", SMALL)
def test_parameters_are_registered_in_the_order_of_the_forward_pass(name: str) -> None:
    called: list[str] = []
    model = build_model(name, num_classes=7, in_channels=2, input_size=16, **SMALL[name])
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(lambda _module, _args, path=path: called.append(path))
    model(torch.rand(2, 2, 2, 16, 16))
    # Where neurons and norms are one kernel, a norm is not called by itself: it stands behind its convolution.
    expected = [
        each for path in called for each in (path, f"{path.removesuffix('conv')}norm") if _is_there(model, each)
    ]
    assert list(dict.fromkeys(path.rpartition(".")[0] for path, _ in model.named_parameters())) == expected


def _is_there(model: nn.Module, path: str) -> bool:
    return path in dict(model.named_modules())


def test_sew_adds_spikes() -> None:
    model = build_model("sew_resnet34", num_classes=7, in_channels=2, input_size=32, width=4)
    seen: list[torch.Tensor] = []
    from tet_core.models.resnet import SewBlock

    for module in model.modules():
        if isinstance(module, SewBlock):
            module.register_forward_hook(lambda _m, _a, out: seen.append(out.detach()))
    model(torch.rand(2, 3, 2, 32, 32))
    assert len(seen) == 16
    assert all(torch.equal(out, out.round()) for out in seen)
    assert max(float(out.max()) for out in seen) > 1


LAYERS = [
    {"kind": "conv", "channels": 4, "kernel": 5, "stride": 2},
    {"kind": "residual", "layers": [{"kind": "conv", "channels": 4}, {"kind": "conv", "channels": 4}]},
    {"kind": "residual", "layers": [{"kind": "conv", "channels": 6, "stride": 2}, {"kind": "conv", "channels": 6}]},
    {"kind": "pool", "size": "global", "mode": "max"},
    {"kind": "linear", "features": 12},
]


def test_a_network_of_layers_is_built_as_listed() -> None:
    model = build_model("layers", num_classes=7, in_channels=2, input_size=17, layers=LAYERS)
    assert model(torch.rand(2, 3, 2, 17, 17)).shape == (2, 3, 7)
    shapes = [tuple(m.weight.shape) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert shapes == [
        (4, 2, 5, 5),
        (4, 4, 3, 3),
        (4, 4, 3, 3),
        (6, 4, 3, 3),
        (6, 6, 3, 3),
        (6, 4, 1, 1),
        (12, 6),
        (7, 12),
    ]


@pytest.mark.parametrize(
    ("layers", "fault"),
    [
        ([{"kind": "linear", "features": 4}, {"kind": "pool"}], r"layers\[1\]: only linear layers can follow a linear"),
        ([{"kind": "pool", "size": 9}], r"layers\[0\]\.size: a pool of 9x9 gets only 8x8 pixels"),
        ([{"kind": "pool", "size": 1}], r"layers\[0\]\.size: must be 2 to 64 or 'global', not 1"),
        ([], "at least 1 item"),
    ],
)
def test_layers_that_do_not_fit_are_named(layers: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        build_model("layers", num_classes=7, in_channels=2, input_size=8, layers=layers)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with a model of its own, as pip would leave it."""
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
    ("fault", "told"),
    [
        ("raises", "entry_point 'net' raised ValueError: 64 is no cube"),
        ("shape", "entry_point 'net' gave outputs (128, 10); they must be [T, B, K], here (2, 128, 10)"),
    ],
)
def test_a_forward_pass_that_fails_is_its_authors_fault(installed: None, fault: str, told: str) -> None:
    with pytest.raises(EntryPointError, match=f"^{re.escape(told)}$"):
        fit(make_config("net", fault=fault))
