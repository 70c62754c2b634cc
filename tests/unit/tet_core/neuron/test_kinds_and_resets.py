"""Tests of IF, ReLU, resets and learnable constants: layers agree with the step and with results by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.surrogates import ONE_OF_EACH
from tests.unions import members
from tet_core.config import IfConfig, LifConfig, NeuronConfig, ReluConfig, SigmoidForwardConfig, TriangleConfig
from tet_core.errors import ConfigError
from tet_core.neuron import IF, LIF, Neuron, ReLU, build_neuron, lif_step
from tet_core.static import repeat_over_time
from tet_core.surrogate import SigmoidForward, Surrogate

# NEURONS has every neuron; FIRING has those that fire and are reset.
NEURONS: list[tuple[NeuronConfig, type[nn.Module]]] = [
    (LifConfig(tau=0.25), LIF),
    (IfConfig(reset="soft"), IF),
    (ReluConfig(), ReLU),
]
FIRING = [kind for config, kind in NEURONS if "reset" in type(config).model_fields]


def by_steps(current: Tensor, lif: LIF) -> Tensor:
    v, spikes = torch.zeros_like(current[0]), []
    for step in current:
        a, v = lif_step(
            v,
            step,
            tau=lif.tau,
            v_threshold=lif.v_threshold,
            surrogate=lif.surrogate,
            reset=lif.reset,
            detach_reset=lif.detach_reset,
        )
        spikes.append(a)
    return torch.stack(spikes)


@pytest.mark.parametrize(("reset", "detached"), [("hard", False), ("hard", True), ("soft", False), ("soft", True)])
@pytest.mark.parametrize("surrogate", ONE_OF_EACH, ids=lambda surrogate: type(surrogate).__name__)
@pytest.mark.parametrize("kind", FIRING)
def test_forward_and_backward_are_those_of_the_step(
    kind: Any, surrogate: Surrogate, reset: str, detached: bool
) -> None:
    draws = torch.Generator().manual_seed(3)
    current = torch.randn(5, 3, 7, generator=draws, dtype=torch.float64).mul_(2).requires_grad_()
    weight = torch.randn(5, 3, 7, generator=draws, dtype=torch.float64)
    lif = kind(v_threshold=0.8, surrogate=surrogate, reset=reset, detach_reset=detached)
    (ours,) = torch.autograd.grad((lif(current) * weight).sum(), current)
    (expected,) = torch.autograd.grad((by_steps(current, lif) * weight).sum(), current)
    torch.testing.assert_close(lif(current), by_steps(current, lif), rtol=1e-12, atol=1e-12)
    assert ours.abs().sum() > 0
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_a_soft_reset_subtracts_the_threshold() -> None:
    # tau = 0.5, threshold 1. u: 2.5 fires, v = 1.5; u = 0.75 + 0.5 = 1.25 fires, v = 0.25; u = 0.125 + 0.5 silent.
    current = torch.tensor([[2.5], [0.5], [0.5]])
    assert LIF(reset="soft")(current).flatten().tolist() == [1.0, 1.0, 0.0]
    assert LIF()(current).flatten().tolist() == [1.0, 0.0, 0.0]


def test_an_if_neuron_does_not_leak() -> None:
    current = torch.full((4, 1), 0.375)
    assert IF()(current).flatten().tolist() == [0.0, 0.0, 1.0, 0.0]
    assert LIF()(current).flatten().tolist() == [0.0, 0.0, 0.0, 0.0]


def test_a_detached_reset_stops_the_gradient_at_the_spike() -> None:
    # As in test_lif.py, but without the gradient that goes through the reset: dL/dI(1) = 0.75 + 0.25 * (1 - 1).
    current = torch.tensor([[1.25], [0.5]], dtype=torch.float64, requires_grad=True)
    LIF(detach_reset=True)(current).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == [0.75, 0.5]


def test_learnt_constants_get_the_gradients_of_finite_differences() -> None:
    draws = torch.Generator().manual_seed(5)
    current = torch.randn(4, 2, 6, generator=draws, dtype=torch.float64)
    # With the sigmoid in the forward pass everything is smooth, so finite differences give the true gradient.
    lif = LIF(0.4, 0.9, SigmoidForward(2.0), learnable_tau=True, learnable_threshold=True).double()
    assert isinstance(lif.tau, Tensor)
    assert isinstance(lif.v_threshold, Tensor)
    assert lif.tau.item() == pytest.approx(0.4)
    assert lif.v_threshold.item() == pytest.approx(0.9)
    lif(current).square().sum().backward()
    for parameter in lif.parameters():
        values = []
        with torch.no_grad():
            for shift in (1e-6, -1e-6):
                parameter.add_(shift)
                values.append(float(lif(current).square().sum()))
                parameter.sub_(shift)
        assert parameter.grad is not None
        assert float(parameter.grad) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6)


def test_learnt_constants_start_as_the_fixed_ones() -> None:
    current = torch.randn(6, 4, 9, dtype=torch.float64) * 2
    learnt = LIF(0.5, 1.0, learnable_tau=True, learnable_threshold=True).double()
    assert torch.equal(learnt(current), LIF()(current))
    assert "tau=0.5, v_threshold=1" in repr(learnt)
    assert [name for name, _ in learnt.named_parameters()] == ["tau_logit", "log_threshold"]


def test_relu_has_no_state_and_computes_a_repeated_step_once() -> None:
    x = torch.randn(3, 4)
    y = ReLU()(repeat_over_time(x, 5))
    assert (y.stride(0), y.shape) == (0, (5, 3, 4))
    assert torch.equal(y[4], x.relu())


def test_every_neuron_is_tested_here() -> None:
    assert {type(config) for config, _ in NEURONS} == set(members(NeuronConfig))


@pytest.mark.parametrize(("config", "kind"), NEURONS)
def test_a_config_names_a_neuron(config: NeuronConfig, kind: type[nn.Module]) -> None:
    built = build_neuron(config, TriangleConfig(gamma=2.0))
    assert type(built) is kind
    assert isinstance(built, Neuron)
    smooth = build_neuron(LifConfig(), SigmoidForwardConfig(k=10.0))
    assert isinstance(smooth, LIF)
    assert smooth.surrogate == SigmoidForward(10.0)


def test_impossible_constants_are_named() -> None:
    with pytest.raises(ConfigError, match="tau is 1; to be learnt, the decay factor must start strictly between"):
        LIF(1, learnable_tau=True)
    with pytest.raises(ConfigError, match="reset is 'none'; it must be 'hard' or 'soft'"):
        LIF(reset="none")  # type: ignore[arg-type]
