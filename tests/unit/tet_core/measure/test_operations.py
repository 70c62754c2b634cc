"""Operations of networks, counted by hand and by the library."""

import re

import pytest
import torch
from torch import nn

from tet_core import LIF, build_model, count_operations
from tet_core.measure.operations import tallied
from tet_core.static import repeat_over_time


def test_vgg_small_is_counted_layer_by_layer() -> None:
    model = build_model("vgg_small", num_classes=10, in_channels=3, input_size=9, width=4)
    found = count_operations(model, (3, 9, 9))
    # 3x3 kernels, padding 1: outputs have the input's size; the pools drop the odd row and column.
    assert list(found.layers.values()) == [
        9 * 3 * 4 * 81,
        9 * 4 * 4 * 81,
        9 * 4 * 8 * 16,
        9 * 8 * 8 * 16,
        8 * 2 * 2 * 10,
    ]
    assert found.stem == ("features.0.conv",)
    assert found.multiplications == 8_748
    assert found.synaptic == 11_664 + 4_608 + 9_216 + 320


def test_vggsnn_on_dvs_frames_is_counted() -> None:
    model = build_model("vggsnn", num_classes=10, in_channels=2, input_size=48)
    found = count_operations(model, (2, 48, 48))
    pixels = [48**2, 48**2, 24**2, 24**2, 12**2, 12**2, 6**2, 6**2]
    widths = [2, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = [
        9 * before * after * size for before, after, size in zip(widths[:-1], widths[1:], pixels, strict=True)
    ]
    assert found.multiplications == convolutions[0] == 2_654_208
    assert found.synaptic == sum(convolutions[1:]) + 4_608 * 10


def test_a_step_of_the_papers_resnet19_at_32x32_is_counted() -> None:
    found = count_operations(build_model("resnet19", num_classes=10, in_channels=3, input_size=32), (3, 32, 32))
    assert found.stem == ("features.0.conv",)
    assert (found.synaptic, found.multiplications) == (2_214_726_144, 1_769_472)


def test_strides_groups_and_biases_count_as_they_compute() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2, bias=True)
            self.lif = LIF()
            self.head = nn.Linear(8 * 4 * 4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.head(self.lif(self.conv(x[0])[None]).flatten(2))
            return out

    found = count_operations(Net(), (4, 8, 8))
    assert found.layers == {"conv": 8 * 4 * 4 * 2 * 9, "head": 8 * 4 * 4 * 5}


@pytest.mark.parametrize("training", [True, False])
def test_counting_does_not_change_the_network(training: bool) -> None:
    model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=2).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_operations(model, (1, 8, 8))
    assert model.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 0)])
def test_an_input_shape_that_is_not_an_image_is_refused(shape: tuple[int, ...]) -> None:
    model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=2)
    with pytest.raises(ValueError, match=re.escape(f"input_shape is {shape}; it must be (C, H, W)")):
        count_operations(model, shape)


def test_a_tally_counts_the_inputs_of_each_layer() -> None:
    model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=4).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 1, 8, 8, generator=generator) * 3
    with tallied(model) as tallies, torch.no_grad():
        model(repeat_over_time(images, 3))
        model(repeat_over_time(images, 3))
    stem, second, pooled, *_ = tallies.layers
    assert (stem.is_stem, stem.passes, stem.num_nonzero) == (True, 10, 640)  # the stem computes a still image once
    assert (second.is_stem, second.passes, second.is_binary) == (False, 30, True)
    assert 0 < second.input_rate < 1
    assert not pooled.is_binary  # averages of four spikes
    first = tallies.neurons[0]
    assert first.num_outputs == 2 * 3 * 5 * 4 * 64
    assert first.firing_rate == pytest.approx(second.input_rate)
