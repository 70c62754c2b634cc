"""Tests of LIF: it agrees with a trace made by hand, and its backward pass with autograd through the step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tet_core.errors import ConfigError
from tet_core.neuron import LIF, lif_step
from tet_core.static import repeat_over_time
from tet_core.surrogate import Triangle

JUST_UNDER, JUST_OVER = 1.0 - 2.0**-53, 1.0 + 2.0**-52  # the doubles next to the threshold of 1

# Computed by hand from Eq. 1-3 with tau = 0.5, v_threshold = 1: input I, potential u, spike a, potential v after a.
TRACE = [
    # I         u           a    v
    (1.0, 1.0, 0.0, 1.0),  # at the threshold: silent, and nothing is reset
    (0.5, 1.0, 0.0, 1.0),
    (0.75, 1.25, 1.0, 0.0),  # over: fires, reset to 0
    (JUST_UNDER, JUST_UNDER, 0.0, JUST_UNDER),
    (-0.5 * JUST_UNDER, 0.0, 0.0, 0.0),
    (JUST_OVER, JUST_OVER, 1.0, 0.0),
    (-2.0, -2.0, 0.0, -2.0),
    (1.75, 0.75, 0.0, 0.75),
    (0.625, 1.0, 0.0, 1.0),
]


def test_the_step_follows_a_trace_made_by_hand() -> None:
    v = torch.zeros(1, dtype=torch.float64)
    for current, u, a, v_after in TRACE:
        assert float(torch.add(torch.tensor(current, dtype=torch.float64), v, alpha=0.5)) == u
        spikes, v = lif_step(v, torch.tensor([current], dtype=torch.float64))
        assert (float(spikes), float(v)) == (a, v_after)


def test_the_layer_follows_a_trace_made_by_hand() -> None:
    current = torch.tensor([row[0] for row in TRACE], dtype=torch.float64).view(-1, 1, 1)
    assert LIF()(current).flatten().tolist() == [row[2] for row in TRACE]


@pytest.mark.parametrize(
    ("current", "fires"),
    [(1.0, 0.0), (float(torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))), 1.0), (0.999, 0.0)],
)
def test_a_neuron_fires_strictly_above_the_threshold(current: float, fires: float) -> None:
    assert float(LIF()(torch.tensor([[current]]))) == fires


def by_steps(current: Tensor, lif: LIF) -> Tensor:
    """Return the spikes that the step computes for the layer; autograd can differentiate them."""
    v, spikes = torch.zeros_like(current[0]), []
    for step in current:
        a, v = lif_step(v, step, tau=lif.tau, v_threshold=lif.v_threshold, surrogate=lif.surrogate)
        spikes.append(a)
    return torch.stack(spikes)


@settings(max_examples=60)
@given(
    T=st.integers(1, 6),
    tau=st.floats(0, 1),
    v_threshold=st.floats(0.1, 3),
    gamma=st.floats(0.25, 4),
    seed=st.integers(0, 2**31),
)
def test_the_backward_pass_is_that_of_autograd(T: int, tau: float, v_threshold: float, gamma: float, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    current = torch.randn(T, 3, 5, generator=draws, dtype=torch.float64).mul_(2).requires_grad_()
    weight = torch.randn(T, 3, 5, generator=draws, dtype=torch.float64)
    lif = LIF(tau, v_threshold, Triangle(gamma))

    (ours,) = torch.autograd.grad((lif(current) * weight).sum(), current)
    spikes = by_steps(current, lif)
    (expected,) = torch.autograd.grad((spikes * weight).sum(), current)

    assert torch.equal(lif(current), spikes)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_goes_through_the_reset() -> None:
    # T = 2, u(1) = 1.25 fires. By hand, with s = max(0, 1 - |u - 1|): s(1) = 0.75, u(2) = 0.5, s(2) = 0.5 and
    # dL/dI(2) = s(2) = 0.5; dL/dv(1) = tau * 0.5 = 0.25; dL/dI(1) = 0.75 + 0.25 * ((1 - 1) - 1.25 * 0.75).
    current = torch.tensor([[1.25], [0.5]], dtype=torch.float64, requires_grad=True)
    LIF()(current).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == [0.75 - 0.25 * 1.25 * 0.75, 0.5]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_step_repeated_over_time_gives_the_same_results_as_copies_of_it(layout: torch.memory_format) -> None:
    image = torch.randn(2, 3, 4, 5).mul_(2).contiguous(memory_format=layout)
    once, copies = image.clone().requires_grad_(), image.clone().requires_grad_()
    weight = torch.randn(4, 2, 3, 4, 5)
    spikes = LIF()(repeat_over_time(once, 4))
    spikes_of_copies = LIF()(torch.stack([copies] * 4))
    (spikes * weight).sum().backward()
    (spikes_of_copies * weight).sum().backward()
    assert torch.equal(spikes, spikes_of_copies)
    torch.testing.assert_close(once.grad, copies.grad)


def test_a_layer_keeps_the_memory_layout_of_a_step() -> None:
    current = torch.randn(3, 2, 4, 5, 5).flatten(0, 1).contiguous(memory_format=torch.channels_last).view(3, 2, 4, 5, 5)
    assert LIF()(current)[0].is_contiguous(memory_format=torch.channels_last)


def test_only_the_potentials_are_kept_for_the_backward_pass() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        LIF()(torch.randn(4, 2, 8, requires_grad=True))
    assert sum(tensor.numel() for tensor in kept) == 4 * 2 * 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_layer_keeps_shape_and_dtype(dtype: torch.dtype) -> None:
    spikes = LIF()(torch.randn(2, 3, 4, dtype=dtype))
    assert spikes.shape == (2, 3, 4)
    assert spikes.dtype == dtype


def test_wrong_constants_and_shapes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"tau is 1\.5; the decay factor must be from 0 to 1"):
        LIF(tau=1.5)
    with pytest.raises(ConfigError, match=r"v_threshold is 0; it must be above 0"):
        LIF(v_threshold=0)
    with pytest.raises(ValueError, match=r"current has shape \(0, 2\)"):
        LIF()(torch.zeros(0, 2))
