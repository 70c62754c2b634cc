"""Tests of norms over a batch that has one value for each channel, and therefore no unbiased variance."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.unit.tet_core.stages import make_config
from tet_core import kernels
from tet_core.current import Current
from tet_core.kernels import VARIABLE
from tet_core.neuron import LIF, ReLU
from tet_core.norm import TEBN, TdBN
from tet_core.static import repeat_over_time
from tet_core.train.epochs import train_epochs

# A pool over all pixels leaves maps of 1x1, and 1442 samples leave one for the last batch.
ONE_LEFT: dict[str, Any] = {"T": 1, "batch_size": 131, "epochs": 1}
POOLED = [
    {"kind": "conv", "channels": 4},
    {"kind": "pool", "size": "global"},
    {"kind": "conv", "channels": 4},
]


@pytest.fixture(params=["loop", "auto"], ids=["loop", "compiled"])
def _kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(VARIABLE, request.param)
    kernels.in_use.cache_clear()
    yield
    kernels.in_use.cache_clear()


def by_norm(norm: TdBN, x: Tensor) -> Tensor:
    return norm(x)  # type: ignore[no-any-return]


def by_neurons(norm: TdBN, x: Tensor) -> Tensor:
    # The threshold lies below the bias: the neurons fire, and let a gradient through.
    return LIF(v_threshold=0.5)(Current.of(x, norm))  # type: ignore[no-any-return]


def by_relus(norm: TdBN, x: Tensor) -> Tensor:
    return ReLU()(Current.of(x, norm))  # type: ignore[no-any-return]


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("make", [lambda: TdBN(3), lambda: TEBN(3, 1)], ids=["tdbn", "tebn"])
@pytest.mark.parametrize("run", [by_norm, by_neurons, by_relus])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_one_value_is_normalised_to_the_bias_and_does_not_change_the_statistics(
    make: Callable[[], TdBN], run: Callable[[TdBN, Tensor], Tensor], dtype: torch.dtype
) -> None:
    norm = make()
    if dtype == torch.float64:
        norm.double()
    nn.init.constant_(norm.bias, 0.75)
    x = torch.tensor([3.0, -2.0, 0.0]).view(1, 1, 3, 1, 1).to(dtype).requires_grad_()
    y = run(norm, x)
    expected = 1.0 if run is by_neurons else 0.75
    torch.testing.assert_close(y.flatten().double(), torch.full((3,), expected).double(), rtol=0, atol=1e-3)
    torch.autograd.backward(y.sum())
    assert x.grad is not None
    assert norm.weight.grad is not None
    assert norm.bias.grad is not None
    assert x.grad.abs().max() < 1e-3, "the gradient is 0, except for rounding"
    assert norm.weight.grad.abs().max() < 1e-3
    assert norm.bias.grad.min() > 0.5
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.running_var.tolist() == [1, 1, 1]


@pytest.mark.parametrize("still", [True, False])
def test_a_value_that_is_repeated_over_time_counts_once_for_each_step(still: bool) -> None:
    x = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)
    norm = TdBN(2)
    y = norm(repeat_over_time(x, 4) if still else torch.stack([x] * 4))
    torch.testing.assert_close(y, torch.zeros(4, 1, 2, 1, 1), rtol=0, atol=1e-4)
    torch.testing.assert_close(norm.running_mean, torch.tensor([0.3, -0.2]))
    torch.testing.assert_close(norm.running_var, torch.tensor([0.9, 0.9]))


def test_a_preview_of_one_value_or_none_is_finite() -> None:
    norm = TdBN(2)
    nn.init.constant_(norm.bias, 0.25)
    assert norm.preview(torch.full((1, 1, 2, 1, 1), 7.0)).flatten().tolist() == [0.25, 0.25]
    assert norm.preview(torch.empty(3, 0, 2, 4, 4)).shape == (3, 0, 2, 4, 4)


def test_a_count_in_a_tensor_updates_the_statistics_as_a_number_does() -> None:
    mean, var = torch.tensor([3.0, -1.0]), torch.tensor([0.5, 2.0])
    for count in (0, 1, 2, 7):
        norms = [TdBN(2), TdBN(2)]
        norms[0].track(mean, var, count)
        norms[1].track(mean, var, torch.tensor(float(count), dtype=torch.float64))
        assert torch.equal(norms[0].running_mean, norms[1].running_mean)
        assert torch.equal(norms[0].running_var, norms[1].running_var)
        assert (norms[0].running_mean[0] == 0) == (count < 2)
        assert norms[0].running_var.isfinite().all()


@pytest.mark.parametrize("norm", ["tdbn", "bn", "tebn"])
@pytest.mark.parametrize("neuron", ["lif", "relu"])
def test_a_last_batch_of_one_sample_is_trained_on(norm: str, neuron: str) -> None:
    config = make_config(
        **ONE_LEFT, model={"name": "layers", "layers": POOLED, "norm": {"name": norm}}, neuron={"name": neuron}
    )
    (epoch,) = train_epochs(config, with_layers=True)
    assert all(each.isfinite().all() for each in epoch.checkpoint()["model"].values())


def test_a_deep_network_of_small_images_is_trained_on_one_sample() -> None:
    model = {"name": "sew_resnet34", "width": 16}
    config = make_config(dataset={"name": "digits", "input_size": 32}, model=model, T=1, batch_size=1441, epochs=1)
    (epoch,) = train_epochs(config)
    assert all(each.isfinite().all() for each in epoch.checkpoint()["model"].values())
