"""Tests of learning rates and optimisers."""

import math

import pytest
import torch
from torch import nn

from tests.unit.tet_core.stages import make_config
from tet_core.config import AdamConfig, SgdConfig, TrainConfig
from tet_core.train.optimizer import build_optimizer, learning_rate


def rates(config: TrainConfig) -> list[float]:
    return [learning_rate(config, number) for number in range(1, config.epochs + 1)]


def test_cosine_falls_from_lr_towards_lr_min_epoch_by_epoch() -> None:
    config = make_config(epochs=4, optimizer={"name": "adam", "lr": 0.2}, schedule={"name": "cosine", "lr_min": 0.1})
    expected = [0.1 + 0.1 * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(4)]
    assert rates(config) == pytest.approx(expected, rel=1e-15)
    assert rates(config)[0] == 0.2


def test_a_constant_rate_does_not_change() -> None:
    assert rates(make_config(epochs=3, schedule={"name": "constant"})) == [1e-3] * 3


def test_joined_stages_share_one_schedule() -> None:
    whole = make_config(epochs=5)
    first = make_config(epochs=3, schedule_epochs=5)
    second = make_config(epochs=2, schedule_epochs=5, schedule_offset=3)
    assert rates(first) + rates(second) == rates(whole)


@pytest.mark.parametrize("config", [AdamConfig(lr=0.1, weight_decay=0.01), SgdConfig(lr=0.1, weight_decay=0.01)])
def test_the_optimisers_give_the_results_of_torchs_optimisers(config: AdamConfig | SgdConfig) -> None:
    start = torch.randn(5, dtype=torch.float64)
    ours, reference = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    fields = config.model_dump(exclude={"name"})
    plain = (torch.optim.Adam if isinstance(config, AdamConfig) else torch.optim.SGD)([reference], **fields)
    optimizer = build_optimizer(config, [ours])
    for _ in range(3):
        for parameter, one in ((ours, optimizer), (reference, plain)):
            one.zero_grad()
            torch.autograd.backward(parameter.pow(3).sum())
            one.step()
    torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("config", [AdamConfig(lr=0.1), SgdConfig(lr=0.1)])
def test_hooks_run_once_a_step_and_a_closure_is_called_once(config: AdamConfig | SgdConfig) -> None:
    parameter = nn.Parameter(torch.ones(3))
    torch.optim.Adam([nn.Parameter(torch.ones(1))])  # torch wraps the step of a class when it makes its first optimiser
    optimizer = build_optimizer(config, [parameter])
    seen: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))

    def closure() -> float:
        seen.append("closure")
        optimizer.zero_grad()
        loss = parameter.square().sum()
        torch.autograd.backward(loss)
        return float(loss.detach())

    assert optimizer.step(closure) == 3.0
    assert seen == ["before", "closure", "after"]
    assert float(parameter.detach().max()) < 1


@pytest.mark.parametrize("config", [AdamConfig(lr=0.1, weight_decay=0.01), SgdConfig(lr=0.1, weight_decay=0.01)])
@pytest.mark.parametrize("shape", [(128, 64, 3, 3), (256, 256, 1, 1), (4, 4, 3, 3)], ids=str)
def test_channels_last_weights_end_with_the_same_bits_as_contiguous_weights(
    config: AdamConfig | SgdConfig, shape: tuple[int, ...]
) -> None:
    start = torch.randn(shape)
    ours = nn.Parameter(start.clone().contiguous(memory_format=torch.channels_last))
    reference = nn.Parameter(start.clone())
    fields = config.model_dump(exclude={"name"})
    kind = torch.optim.Adam if isinstance(config, AdamConfig) else torch.optim.SGD
    optimizer, plain = build_optimizer(config, [ours]), kind([reference], fused=True, **fields)
    assert isinstance(optimizer, kind)
    for _ in range(3):
        gradient = torch.randn(shape)
        ours.grad, reference.grad = gradient.contiguous(memory_format=torch.channels_last), gradient.clone()
        optimizer.step()
        plain.step()
        assert ours.grad.shape == ours.shape
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(ours, reference)
    kept, expected = optimizer.state_dict()["state"][0], plain.state_dict()["state"][0]
    assert kept.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(kept[name], tensor), name
