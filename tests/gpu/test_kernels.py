"""Tests of the Triton kernels: they agree with neurons and norms in plain torch, with autograd."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.surrogates import IN_KERNELS
from tet_core.kernels import gpu
from tet_core.kernels import lif as fused
from tet_core.kernels.inputs import Moments, Neurons
from tet_core.surrogate import Surrogate, Triangle, spike

EPS = 1e-5
Norm = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def _triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the Triton kernels also for tensors on a CPU: the interpreter runs them."""
    monkeypatch.setattr(fused, "kernels_for", lambda x: gpu)


def by_loop(current: Tensor, neurons: Neurons) -> Tensor:
    """Return the spikes of Eq. 1 to 3, differentiable by autograd."""
    v, spikes = torch.zeros_like(current[0]), []
    for step in current:
        u = step + neurons.tau * v
        a = spike(u, neurons.v_threshold, neurons.surrogate)
        reset_spikes = a.detach() if neurons.detach_reset else a
        v = u * (1 - reset_spikes) if neurons.reset == "hard" else u - neurons.v_threshold * reset_spikes
        spikes.append(a)
    return torch.stack(spikes)


def normed(x: Tensor, norm: Norm | None) -> Tensor:
    """Return batch normalisation over time and batch, differentiable by autograd."""
    if norm is None:
        return x
    dims = [axis for axis in range(x.ndim) if axis != 2]
    mean, var = x.mean(dims, keepdim=True), x.var(dims, correction=0, keepdim=True)
    weight, bias = (each.view(-1, *[1] * (x.ndim - 3)) for each in norm)
    return (x - mean) / (var + EPS).sqrt() * weight + bias


def by_triton(inputs: list[tuple[Tensor, Norm | None]], neurons: Neurons, steps: int) -> Tensor:
    """Return the spikes that the kernels compute for the sum of normalised inputs."""
    norms: list[tuple[Moments, float] | None] = []
    tensors: list[Tensor | None] = []
    for x, norm in inputs:
        norms.append(None if norm is None else (fused.moments(x.detach()), EPS))
        tensors += [x, *(norm or (None, None))]
    out: Tensor = fused.FusedLIF.apply(neurons, steps, norms, [None] * len(inputs), *tensors)  # type: ignore[no-untyped-call]
    return out


def leaf(x: Tensor) -> Tensor:
    """Return a copy of x that has the same memory layout and gets a gradient."""
    return x.detach().clone(memory_format=torch.preserve_format).requires_grad_()


def agree(
    xs: list[Tensor], norms: list[Norm | None], neurons: Neurons, steps: int, grad: Tensor, tolerance: float
) -> None:
    """Check that spikes, and the gradients of all inputs and parameters, are equal."""
    results: list[list[Tensor]] = []
    for by in ("loop", "triton"):
        inputs = [leaf(x) for x in xs]
        parameters = [None if norm is None else (leaf(norm[0]), leaf(norm[1])) for norm in norms]
        if by == "loop":
            summands = [normed(x.expand(steps, *x.shape[1:]), norm) for x, norm in zip(inputs, parameters, strict=True)]
            total = summands[0]
            for each in summands[1:]:
                total = total + each
            spikes = by_loop(total, neurons)
        else:
            spikes = by_triton(list(zip(inputs, parameters, strict=True)), neurons, steps)
        torch.autograd.backward(spikes, grad)
        of_norms = [each.grad for pair in parameters if pair is not None for each in pair]
        results.append([spikes.detach(), *(x.grad for x in inputs), *of_norms])  # type: ignore[list-item]
    for expected, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


def drawn(seed: int, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return normal random numbers, the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(device, dtype)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("surrogate", IN_KERNELS, ids=lambda s: type(s).__name__)
def test_an_infinite_input_has_the_effect_of_a_very_large_one(
    device: torch.device, surrogate: Surrogate, detach: bool
) -> None:
    grad, found = drawn(1, (4, 1, 9), device, torch.float32), []
    for first in (1e15, float("inf")):
        x = torch.tensor([first, 0.75, 1.0, -0.5], device=device).view(-1, 1, 1).repeat(1, 1, 9).requires_grad_()
        spikes = by_triton([(x, None)], Neurons(0.5, 1.0, surrogate, "hard", detach), 4)
        torch.autograd.backward(spikes, grad)
        assert x.grad is not None
        found.append((spikes.detach(), x.grad))
    for large, infinite in zip(*found, strict=True):
        torch.testing.assert_close(infinite, large, rtol=0, atol=1e-6)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("surrogate", IN_KERNELS, ids=lambda s: type(s).__name__)
def test_in_float64_kernels_and_loop_agree_to_the_last_digits(
    device: torch.device, surrogate: Surrogate, reset: Any, detach: bool
) -> None:
    neurons = Neurons(0.6, 0.9, surrogate, reset, detach)
    for seed, shape in enumerate([(1, 2, 3), (2, 3, 5, 7, 3), (5, 1, 1100), (16, 2, 1, 9)]):
        x, grad = drawn(seed, shape, device) * 1.5, drawn(seed + 10, shape, device)
        agree([x], [None], neurons, shape[0], grad, 1e-12)


def _channels_last(x: Tensor) -> Tensor:
    return x.flatten(0, 1).contiguous(memory_format=torch.channels_last).view(x.shape)


def _turned(x: Tensor) -> Tensor:
    return x.transpose(-1, -2).contiguous().transpose(-1, -2)


@pytest.mark.parametrize(
    "layout", [lambda x: x, _channels_last, _turned], ids=["contiguous", "channels-last", "turned"]
)
@pytest.mark.parametrize("num_inputs", [1, 2, 3])
@pytest.mark.parametrize("with_norms", ["all", "first", "none"])
def test_norms_and_sums_of_inputs_agree(
    device: torch.device, layout: Callable[[Tensor], Tensor], num_inputs: int, with_norms: str
) -> None:
    shape = (3, 4, 35, 5, 6)
    xs = [layout(drawn(seed, shape, device)) for seed in range(num_inputs)]
    norms: list[Norm | None] = [
        None
        if with_norms == "none" or (with_norms == "first" and seed)
        else (1 + 0.1 * drawn(20 + seed, shape[2:3], device), 0.1 * drawn(30 + seed, shape[2:3], device))
        for seed in range(num_inputs)
    ]
    agree(xs, norms, Neurons(0.5, 1.0, Triangle(), "hard", False), 3, layout(drawn(40, shape, device)), 1e-11)


@pytest.mark.parametrize("norm", [False, True])
def test_a_static_input_agrees(device: torch.device, norm: bool) -> None:
    shape = (1, 4, 7, 5, 6)
    norms: list[Norm | None] = [(1 + 0.1 * drawn(1, (7,), device), 0.1 * drawn(2, (7,), device)) if norm else None]
    agree(
        [drawn(0, shape, device)],
        norms,
        Neurons(0.5, 1.0, Triangle(), "hard", False),
        4,
        drawn(3, (4, *shape[1:]), device),
        1e-11,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("T", [1, 2, 4, 6, 16])
def test_in_smaller_types_all_spikes_agree_except_near_the_threshold(
    device: torch.device, dtype: torch.dtype, T: int
) -> None:
    x, grad = drawn(T, (T, 3, 700), device, dtype), drawn(T + 1, (T, 3, 700), device, dtype)
    neurons = Neurons(0.5, 1.0, Triangle(), "hard", False)
    v, clear = torch.zeros_like(x[0], dtype=torch.float64), torch.ones_like(x[0], dtype=torch.bool)
    for step in x.double():
        u = step + 0.5 * v
        clear &= (u - 1).abs() > 1e-3
        v = u * (u <= 1)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    ours, expected = leaf(x), leaf(x.float())
    spikes, wanted = by_triton([(ours, None)], neurons, T), by_loop(expected, neurons)
    assert torch.equal(spikes.float()[:, clear], wanted[:, clear])
    torch.autograd.backward(spikes, grad)
    torch.autograd.backward(wanted, grad.float())
    assert ours.grad is not None
    assert expected.grad is not None
    assert clear.float().mean() > 0.9
    torch.testing.assert_close(
        ours.grad.float()[:, clear], expected.grad[:, clear], rtol=tolerance, atol=tolerance, check_dtype=False
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [lambda x: x, _channels_last], ids=["contiguous", "channels-last"])
def test_norms_of_smaller_types_agree(
    device: torch.device, dtype: torch.dtype, layout: Callable[[Tensor], Tensor]
) -> None:
    shape, neurons = (3, 4, 35, 5, 6), Neurons(0.5, 1.0, Triangle(), "hard", False)
    x, grad = (layout(drawn(seed, shape, device, dtype)) for seed in (0, 1))
    found = fused.moments(x)
    wide = x.double().transpose(1, 2).transpose(0, 1).flatten(1)
    torch.testing.assert_close(found.mean.double(), wide.mean(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.var.double(), wide.var(1, correction=0), rtol=1e-5, atol=1e-5)
    ours, expected = leaf(x), leaf(x.double())
    norms = [(1 + 0.1 * drawn(2, (35,), device), 0.1 * drawn(3, (35,), device)) for _ in range(2)]
    narrow = (leaf(norms[0][0].float()), leaf(norms[0][1].float()))
    spikes, wanted = by_triton([(ours, narrow)], neurons, 3), by_loop(normed(expected, norms[1]), neurons)
    same = (spikes.double() == wanted).all(0)
    assert same.float().mean() > 0.99, "spikes differ only for potentials within rounding of the threshold"
    torch.autograd.backward(spikes, grad)
    torch.autograd.backward(wanted, grad.double())
    assert ours.grad is not None
    assert expected.grad is not None
    tolerance = 1e-4 if dtype == torch.float32 else 5e-2
    close = torch.isclose(ours.grad.double(), expected.grad, rtol=tolerance, atol=tolerance)[:, same]
    assert close.float().mean() > 0.99


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 3, 0), (2, 0, 5, 4, 4)])
def test_an_empty_input_is_accepted(device: torch.device, shape: tuple[int, ...]) -> None:
    agree(
        [drawn(0, shape, device)], [None], Neurons(0.5, 1.0, Triangle(), "hard", False), 2, drawn(1, shape, device), 0
    )


@pytest.mark.parametrize("layout", [lambda x: x, _channels_last], ids=["contiguous", "channels-last"])
def test_two_runs_give_the_same_bits(device: torch.device, layout: Callable[[Tensor], Tensor]) -> None:
    x, grad = (layout(drawn(seed, (4, 8, 24, 13, 13), device, torch.float32)) for seed in (0, 1))
    weight, bias = drawn(2, (24,), device, torch.float32), drawn(3, (24,), device, torch.float32)
    found = []
    for _ in range(2):
        leaves = [leaf(x), leaf(weight), leaf(bias)]
        spikes = by_triton([(leaves[0], (leaves[1], leaves[2]))], Neurons(0.5, 1.0, Triangle(), "hard", False), 4)
        torch.autograd.backward(spikes, grad)
        found.append([each.grad for each in leaves])
    for first, second in zip(*found, strict=True):
        assert first is not None
        assert second is not None
        assert torch.equal(first, second)
