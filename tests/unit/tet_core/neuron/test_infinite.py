"""Tests of neurons with an infinite input: the step, the loop and the compiled kernels agree."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.surrogates import ONE_OF_EACH
from tet_core import kernels
from tet_core.kernels import VARIABLE
from tet_core.measure.layer_health import watched
from tet_core.neuron import LIF, lif_step
from tet_core.surrogate import SigmoidForward, Surrogate

INPUTS = [math.inf, 0.75, 1.0, -0.5]
# tau = 0.5, threshold 1, a hard reset. u: inf fires, v = 0; u = 0.75, silent; u = 1 + 0.375 fires, v = 0; u = -0.5.
SPIKES = [1.0, 0.0, 1.0, 0.0]


@pytest.fixture(params=["loop", "auto"], ids=["loop", "compiled"])
def _kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, request.param)
    kernels.in_use.cache_clear()
    yield
    kernels.in_use.cache_clear()


def current_of(values: list[float], dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a current `[T, 1, 9]`, the same for nine neurons, so that a kernel runs vectorised code too."""
    return torch.tensor(values, dtype=dtype).view(-1, 1, 1).repeat(1, 1, 9).requires_grad_()


def by_steps(current: Tensor, layer: LIF) -> Tensor:
    v, spikes = torch.zeros_like(current[0]), []
    for step in current:
        a, v = lif_step(v, step, surrogate=layer.surrogate, reset=layer.reset, detach_reset=layer.detach_reset)
        spikes.append(a)
    return torch.stack(spikes)


def gradient(outputs: Tensor, current: Tensor) -> Tensor:
    weight = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=outputs.dtype).view(-1, 1, 1)
    (found,) = torch.autograd.grad((outputs * weight).sum(), current)
    return found


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("surrogate", ONE_OF_EACH, ids=lambda surrogate: type(surrogate).__name__)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.usefixtures("_kernels")
def test_after_an_infinite_input_the_layer_and_the_step_agree(
    surrogate: Surrogate, detached: bool, reset: Any, sign: int
) -> None:
    current = current_of([sign * INPUTS[0], *INPUTS[1:]])
    layer = LIF(surrogate=surrogate, reset=reset, detach_reset=detached)
    ours, defined = layer(current), by_steps(current, layer)
    torch.testing.assert_close(ours, defined, rtol=1e-12, atol=1e-12)
    assert gradient(ours, current).isfinite().all()
    torch.testing.assert_close(gradient(layer(current), current), gradient(defined, current), rtol=1e-12, atol=1e-12)
    if sign > 0 and reset == "hard" and not isinstance(surrogate, SigmoidForward):
        assert ours[:, 0, 0].tolist() == SPIKES


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.usefixtures("_kernels")
def test_an_infinite_input_has_the_effect_of_a_very_large_one(dtype: torch.dtype) -> None:
    layer = LIF()
    infinite, large = current_of(INPUTS, dtype), current_of([1e4, *INPUTS[1:]], dtype)
    assert torch.equal(layer(infinite), layer(large))
    assert torch.equal(gradient(layer(infinite), infinite), gradient(layer(large), large))


def test_learnt_constants_get_a_gradient_from_an_infinite_input() -> None:
    layer = LIF(learnable_tau=True, learnable_threshold=True).double()
    spikes = layer(current_of(INPUTS))
    assert spikes[:, 0, 0].tolist() == SPIKES
    spikes.sum().backward()
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite()


def test_the_health_of_a_layer_is_finite_after_an_infinite_input() -> None:
    layer = LIF()
    with watched(layer) as healths:
        layer(current_of(INPUTS, torch.float32))
    (health,) = healths.values()
    # Triangle: 0 at infinity, 0.75 at 0.75, 0.625 at 1.375, 0 at -0.5.
    assert health.gradient == pytest.approx((0.75 + 0.625) / 4)
    assert health.firing_rate == 0.5
