"""Networks built from a list of layers."""

from typing import Any

import pytest
import torch
from torch import nn

from tet_core.models import build_model

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
