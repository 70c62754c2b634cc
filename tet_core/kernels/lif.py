"""Neurons, with the norms of their inputs, as one operation.

For the backward pass only the inputs are kept, which the norms need anyway. Potentials and spikes are computed again.

Shapes: T time steps (always axis 0), B batch, C channels, * any more axes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tet_core.kernels import kernels_for
from tet_core.kernels.inputs import Fed, Moments, Neurons, aligned, computing_dtype, empty_steps


def moments(x: Tensor) -> Moments:
    """Return mean and biased variance of each channel of `[T, B, C, *]`, over T, B and *; 0 and 1 if it is empty."""
    if not x.numel():
        mean = torch.zeros(x.shape[2], dtype=computing_dtype(x.dtype), device=x.device)
        return Moments(mean, torch.ones_like(mean))
    found: Moments = _kernels(x).moments(aligned(x))
    return found


class FusedLIF(torch.autograd.Function):
    """Spikes `[T, B, *]` of neurons whose current is a sum of inputs, each with or without a norm.

    The tensors are, for each input, x `[T, B, *]` (or `[1, B, *]` if every step is the same), and weight and bias
    `[C]`, or None without a norm. `norms` has, for each input, its moments and eps, or None; `again` the function that
    computes x again in the backward pass, or None if x is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        neurons: Neurons,
        steps: int,
        norms: Sequence[tuple[Moments, float] | None],
        again: Sequence[Callable[[], Tensor] | None],
        *tensors: Tensor | None,
    ) -> Tensor:
        """Run the neurons from a potential of 0."""
        fed = _fed(norms, tensors)
        like = fed[0].x
        spikes = empty_steps(like, steps)
        _kernels(like).forward(fed, neurons, spikes)
        saved = ((None if make else each.x, each.weight, each.bias) for each, make in zip(fed, again, strict=True))
        ctx.save_for_backward(*(tensor for tensors in saved for tensor in tensors))
        ctx.neurons, ctx.steps, ctx.norms, ctx.again = neurons, steps, norms, again
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Run the neurons backwards."""
        tensors = list(ctx.saved_tensors)
        for k, make in enumerate(ctx.again):
            tensors[3 * k] = make() if make else tensors[3 * k]
        fed = _fed(ctx.norms, tensors)
        like, steps = fed[0].x, ctx.steps
        summed = all(each.x.shape[0] == 1 for each in fed)
        grad_spikes = aligned(grad_outputs[0], like)
        grad = empty_steps(like, 1 if summed else steps)
        totals = _kernels(like).backward(fed, ctx.neurons, steps, grad_spikes, summed, grad)
        return None, None, None, None, *_input_gradients(ctx.needs_input_grad[4:], fed, steps, grad, totals)


def _fed(norms: Sequence[tuple[Moments, float] | None], tensors: Sequence[Tensor | None]) -> list[Fed]:
    fed: list[Fed] = []
    for norm, x, weight, bias in zip(norms, tensors[::3], tensors[1::3], tensors[2::3], strict=True):
        assert x is not None
        x = aligned(x.to(fed[0].x.dtype), fed[0].x) if fed else aligned(x)
        if norm is None:
            fed.append(Fed(x))
            continue
        found, eps = norm
        weight, bias, mean, var = (_computable(each, x) for each in (weight, bias, found.mean, found.var))
        fed.append(Fed(x, weight, bias, replace(found, mean=mean, var=var), eps))
    return fed


def _computable(by_channel: Tensor | None, x: Tensor) -> Tensor:
    """Return a parameter as the kernels for x read it."""
    assert by_channel is not None
    return by_channel.detach().to(computing_dtype(x.dtype)).contiguous()


def _input_gradients(
    needed: Sequence[bool], fed: Sequence[Fed], steps: int, grad: Tensor, totals: Tensor | None
) -> list[Tensor | None]:
    """Return the gradients of x, weight and bias of each input, from the current's gradient and the sums over it."""
    out: list[Tensor | None] = []
    for k, each in enumerate(fed):
        of_x = None
        if needed[3 * k]:
            of_x = grad if each.x.shape[0] == grad.shape[0] else _summed(grad)
        if each.moments is None or totals is None:
            out += [of_x, None, None]
            continue
        to = of_x
        if of_x is not None and of_x is grad and any(needed[3 * j] for j in range(len(fed)) if j != k):
            to = torch.empty_like(of_x)
        of_parameters = _norm_backward(each, grad if of_x is None else of_x, totals[[0, 1 + k]], to)
        out += [to, *of_parameters]
    return out


def _norm_backward(fed: Fed, grad: Tensor, totals: Tensor, to: Tensor | None) -> tuple[Tensor, Tensor]:
    """Write dL/dx of a norm, whose sums may be over all workers; return the gradients of its parameters."""
    assert fed.moments is not None
    share = fed.moments.share
    if share is None:
        found: tuple[Tensor, Tensor] = _kernels(fed.x).norm_backward(fed, grad, totals[0], totals[1], to)
        return found
    # The kernels divide by this worker's count: its share of the sum over all workers gives the same quotient.
    of_all = fed.moments.workers.summed(totals.clone()) * share
    _kernels(fed.x).norm_backward(fed, grad, of_all[0], of_all[1], to)
    # The parameters' gradients are summed over the workers later, with all others.
    inverse = fed.inverse()
    return (totals[1] * inverse).to(inverse.dtype), totals[0].to(inverse.dtype)


def _summed(grad: Tensor) -> Tensor:
    """Return the sum over time, in the layout of a step: `Tensor.sum` may choose another layout."""
    return torch.sum(grad, 0, keepdim=True, out=empty_steps(grad, 1))


def _kernels(x: Tensor) -> ModuleType:
    found = kernels_for(x)
    assert found is not None
    return found
