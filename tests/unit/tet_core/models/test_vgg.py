"""Tests of the VGG-like networks and, for all models, of still images, tau and the threshold."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tet_core.config import LifConfig
from tet_core.errors import ConfigError
from tet_core.models import build_model
from tet_core.static import repeat_over_time


def small(**fields: Any) -> nn.Module:
    return build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, **{"width": 4} | fields)


def test_vggsnn_is_the_network_of_the_paper() -> None:
    model = build_model("vggsnn", num_classes=10, in_channels=2, input_size=48)
    parameters = dict(model.named_parameters())
    # Eight convolutions with bias, eight norms, the head 4608 -> 10.
    widths = [2, 64, 128, 256, 256, 512, 512, 512, 512]
    expected = sum(9 * a * b + b + 2 * b for a, b in pairwise(widths)) + 4608 * 10 + 10
    assert sum(p.numel() for p in parameters.values()) == expected == 9_271_498
    assert parameters["head.weight"].shape == (10, 4608)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [convolution.out_channels for convolution in convolutions] == widths[1:]
    for convolution in convolutions:  # Kaiming normal by fan-out: variance 2 / (9 * C_out)
        std = float(convolution.weight.detach().std())
        assert std == pytest.approx((2 / (9 * convolution.out_channels)) ** 0.5, rel=0.05)


def test_vggsnn_gives_an_output_for_each_step() -> None:
    model = build_model("vggsnn", num_classes=10, in_channels=2, input_size=16)
    assert model(torch.rand(3, 2, 2, 16, 16)).shape == (3, 2, 10)


@pytest.mark.parametrize("input_size", [8, 9, 28])
def test_vgg_small_takes_any_input_from_8x8_up(input_size: int) -> None:
    model = build_model("vgg_small", num_classes=7, in_channels=3, input_size=input_size, width=4)
    assert model(torch.rand(2, 5, 3, input_size, input_size)).shape == (2, 5, 7)


@pytest.mark.parametrize("training", [True, False])
def test_a_still_image_gives_the_same_results_as_a_copy_of_it_at_every_step(training: bool) -> None:
    images = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    outcomes: list[dict[str, Tensor]] = []
    for x in (repeat_over_time(images, 4), torch.stack([images] * 4)):
        torch.manual_seed(0)
        model = small().double().train(training)
        outputs = model(x)
        outputs.square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
        outcomes.append({"outputs": outputs.detach()} | gradients | dict(model.named_buffers()))
    assert outcomes[0].keys() == outcomes[1].keys()
    for name in outcomes[0]:
        torch.testing.assert_close(outcomes[0][name], outcomes[1][name], rtol=1e-9, atol=1e-9, msg=name)


def test_the_stem_sees_a_still_image_once() -> None:
    seen: list[tuple[int, ...]] = []
    model = small()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda _module, args: seen.append(tuple(args[0].shape)))
    model(repeat_over_time(torch.rand(3, 1, 8, 8), 4))
    assert [shape[0] for shape in seen] == [3, 12, 12, 12]


def test_the_neurons_constants_reach_neurons_and_norms() -> None:
    model = small(neuron=LifConfig(tau=0.25, v_threshold=0.5), norm={"name": "tdbn", "alpha": 2.0})
    assert "tau=0.25, v_threshold=0.5" in repr(model)
    norms = [module.weight for name, module in model.named_modules() if name.endswith("norm")]
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in norms)


def test_an_impossible_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"input_size is 7; 'vgg_small' takes inputs of 8x8 pixels and more"):
        build_model("vgg_small", num_classes=10, in_channels=1, input_size=7)
    with pytest.raises(ConfigError, match=r"num_classes is 0"):
        build_model("vgg_small", num_classes=0, in_channels=1, input_size=8)
    with pytest.raises(ValueError, match=r"vgg_large"):
        build_model("vgg_large", num_classes=10, in_channels=1, input_size=8)
    with pytest.raises(ValueError, match=r"widht"):
        build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, widht=4)
