"""Tests of folding: after real training, all layers of all models keep their spikes (in float32, very few differ)."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.checks import folding
from tet_core import load_dataset
from tet_core.config import MIN_INPUT_SIZE, Digits
from tet_core.data import Dataset
from tet_core.fold import fold_batchnorm
from tet_core.models import build_model
from tet_core.neuron import Neuron
from tet_core.norm import TdBN
from tet_core.seed import initial_weights
from tet_core.static import repeat_over_time

LAYERS = [
    {"kind": "conv", "channels": 4},
    {"kind": "residual", "layers": [{"kind": "conv", "channels": 6, "stride": 2}, {"kind": "conv", "channels": 6}]},
    {"kind": "pool"},
    {"kind": "linear", "features": 16},
]
MODELS: list[dict[str, Any]] = [
    {"name": "vgg_small", "width": 4},
    {"name": "vgg_small", "width": 4, "norm": {"name": "tebn"}},
    {"name": "vggsnn", "width": 2},
    {"name": "vggsnn", "width": 2, "downsample": "stride", "norm": {"name": "bn"}},
    {"name": "cnn5", "width": 4},
    {"name": "resnet19", "width": 4, "stem": 4},
    {"name": "resnet19", "width": 4, "stem": 3, "norm": {"name": "tebn"}},
    {"name": "spiking_resnet34", "width": 2},
    {"name": "sew_resnet34", "width": 2},
    {"name": "layers", "layers": LAYERS},
]


def trained(model: dict[str, Any], dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    """Return a network after some steps of training on digits at T=3, in evaluation mode, and test images for it."""
    dataset: Dataset = load_dataset(Digits(input_size=16))
    with initial_weights(0):
        network = build_model(**model, num_classes=10, in_channels=1, input_size=16, num_steps=3)
    network.to(dtype)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for batch in torch.split(torch.arange(640), 64):
        images = dataset.normalise(dataset.train.take(batch), dtype)
        loss = nn.functional.cross_entropy(network(repeat_over_time(images, 3)).mean(0), dataset.train.labels[batch])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return network.eval(), dataset.normalise(dataset.test.take(torch.arange(len(dataset.test))), dtype)


@torch.no_grad()
def spikes_and_outputs(model: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    spikes: list[Tensor] = []
    hooks = [
        m.register_forward_hook(lambda _m, _a, out: spikes.append(out))
        for m in model.modules()
        if isinstance(m, Neuron)
    ]
    outputs = model(repeat_over_time(images, 3))
    for hook in hooks:
        hook.remove()
    return spikes, outputs


def test_every_model_is_folded_here_and_in_the_benchmark() -> None:
    assert {model["name"] for model in MODELS} == {*MIN_INPUT_SIZE, "layers"}
    assert {model["name"] for model in folding.MODELS} == set(MIN_INPUT_SIZE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: "-".join(str(v) for v in model.values() if isinstance(v, str))
)
def test_in_float64_every_spike_is_equal(model: dict[str, Any]) -> None:
    network, images = trained(model, torch.float64)
    folded = fold_batchnorm(network)
    assert not any(isinstance(module, TdBN) for module in folded.modules())
    before, outputs = spikes_and_outputs(network, images)
    after, folded_outputs = spikes_and_outputs(folded, images)
    assert len(before) == len(after) > 0
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert sum(float(spikes.sum()) for spikes in before) > 0
    torch.testing.assert_close(folded_outputs, outputs, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: "-".join(str(v) for v in model.values() if isinstance(v, str))
)
def test_in_float32_very_few_spikes_differ_and_the_accuracy_stays(model: dict[str, Any]) -> None:
    network, images = trained(model, torch.float32)
    labels = load_dataset("digits").test.labels
    before, outputs = spikes_and_outputs(network, images)
    after, folded_outputs = spikes_and_outputs(fold_batchnorm(network), images)
    differing = sum(int((one != other).sum()) for one, other in zip(before, after, strict=True))
    assert differing <= sum(spikes.numel() for spikes in before) / 1_000
    accuracies = [(o.mean(0).argmax(1) == labels).double().mean() for o in (outputs, folded_outputs)]
    assert abs(float(accuracies[0] - accuracies[1])) <= 0.001


def test_folding_does_not_change_the_model_itself() -> None:
    network, _ = trained(MODELS[0], torch.float32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold_batchnorm(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_norm_without_its_convolution_is_named() -> None:
    with pytest.raises(ValueError, match="follow no convolution that they could be folded into: 1"):
        fold_batchnorm(nn.Sequential(nn.Linear(2, 2), TdBN(2)))
