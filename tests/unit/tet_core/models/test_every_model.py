"""Tests of every model: number of parameters, inputs, ANN, and order of the parameters."""

from typing import Any

import pytest
import torch
from torch import nn

from tet_core.config import MIN_INPUT_SIZE, ReluConfig
from tet_core.models import build_model
from tet_core.neuron import ReLU

SIZES = {
    ("vgg_small", 10, 1, 8): 67_754,
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


def test_every_model_is_tested_here() -> None:
    assert {name for name, *_ in SIZES} == SMALL.keys() == MIN_INPUT_SIZE.keys()


@pytest.mark.parametrize(("name", "num_classes", "in_channels", "input_size"), SIZES)
def test_the_numbers_of_parameters(name: str, num_classes: int, in_channels: int, input_size: int) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes=num_classes, in_channels=in_channels, input_size=input_size)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == SIZES[name, num_classes, in_channels, input_size]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("relu", [False, True])
def test_each_model_takes_any_input_that_fits_and_can_be_an_ann(name: str, relu: bool) -> None:
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
    # One kernel can compute norms and neurons; then the norm is not called itself. A norm follows its convolution.
    expected = [each for path in called for each in (path, f"{path.removesuffix('conv')}norm") if _exists(model, each)]
    assert list(dict.fromkeys(path.rpartition(".")[0] for path, _ in model.named_parameters())) == expected


def _exists(model: nn.Module, path: str) -> bool:
    return path in dict(model.named_modules())
