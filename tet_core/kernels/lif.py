"""Neurons, with the norms of their inputs, as one operation.

For the backward pass the inputs are kept, or functions that compute the inputs again. Potentials and spikes are not
kept: the backward pass computes them again.

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
from tet_core.kernels.inputs import Moments, NeuronInput, Neurons, aligned, computing_dtype, empty_steps


def moments(x: Tensor) -> Moments:
    """Return mean and biased variance of each channel of `[T, B, C, *]` over T, B and *; 0 and 1 if x is empty."""
    if not x.numel():
        mean = torch.zeros(x.shape[2], dtype=computing_dtype(x.dtype), device=x.device)
        return Moments(mean, torch.ones_like(mean))
    result: Moments = _kernels(x).moments(aligned(x))
    return result


class FusedLIF(torch.autograd.Function):
    """Spikes `[T, B, *]` of neurons whose current is a sum of inputs, each with or without a norm.

    Args:
        neurons: The constants of the neurons.
        steps: T.
        norms: For each input the moments and the eps of its norm; None without a norm.
        recompute: For each input a function that computes x again in the backward pass; None if x is kept.
        *tensors: For each input three: x `[T, B, *]` (or `[1, B, *]` if every step is the same), and the norm's weight
            and bias, `[C]`, or None and None without a norm.
    """

    @staticmethod
    def forward(
        ctx: Any,
        neurons: Neurons,
        steps: int,
        norms: Sequence[tuple[Moments, float] | None],
        recompute: Sequence[Callable[[], Tensor] | None],
        *tensors: Tensor | None,
    ) -> Tensor:
        """Run the neurons from a potential of 0."""
        inputs = _neuron_inputs(norms, tensors)
        like = inputs[0].x
        spikes = empty_steps(like, steps)
        _kernels(like).forward(inputs, neurons, spikes)
        saved = (
            (None if function else each.x, each.weight, each.bias)
            for each, function in zip(inputs, recompute, strict=True)
        )
        ctx.save_for_backward(*(tensor for tensors in saved for tensor in tensors))
        ctx.neurons, ctx.steps, ctx.norms, ctx.recompute = neurons, steps, norms, recompute
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Run the neurons backwards."""
        tensors = list(ctx.saved_tensors)
        for k, function in enumerate(ctx.recompute):
            tensors[3 * k] = function() if function else tensors[3 * k]
        inputs = _neuron_inputs(ctx.norms, tensors)
        like, steps = inputs[0].x, ctx.steps
        summed = all(each.x.shape[0] == 1 for each in inputs)
        grad_spikes = aligned(grad_outputs[0], like)
        grad = empty_steps(like, 1 if summed else steps)
        totals = _kernels(like).backward(inputs, ctx.neurons, steps, grad_spikes, summed, grad)
        return None, None, None, None, *_input_gradients(ctx.needs_input_grad[4:], inputs, steps, grad, totals)


def _neuron_inputs(
    norms: Sequence[tuple[Moments, float] | None], tensors: Sequence[Tensor | None]
) -> list[NeuronInput]:
    inputs: list[NeuronInput] = []
    for norm, x, weight, bias in zip(norms, tensors[::3], tensors[1::3], tensors[2::3], strict=True):
        assert x is not None
        x = aligned(x.to(inputs[0].x.dtype), inputs[0].x) if inputs else aligned(x)
        if norm is None:
            inputs.append(NeuronInput(x))
            continue
        moments, eps = norm
        weight, bias, mean, var = (_computable(each, x) for each in (weight, bias, moments.mean, moments.var))
        inputs.append(NeuronInput(x, weight, bias, replace(moments, mean=mean, var=var), eps))
    return inputs


def _computable(by_channel: Tensor | None, x: Tensor) -> Tensor:
    """Return a vector `[C]` as the kernels for x read it."""
    assert by_channel is not None
    return by_channel.detach().to(computing_dtype(x.dtype)).contiguous()


def _input_gradients(
    needed: Sequence[bool], inputs: Sequence[NeuronInput], steps: int, grad: Tensor, totals: Tensor | None
) -> list[Tensor | None]:
    """Return the gradients of x, weight and bias of each input, from the current's gradient and the sums over it."""
    out: list[Tensor | None] = []
    for k, each in enumerate(inputs):
        grad_x = None
        if needed[3 * k]:
            grad_x = grad if each.x.shape[0] == grad.shape[0] else _summed(grad)
        if each.moments is None or totals is None:
            out += [grad_x, None, None]
            continue
        grad_input = grad_x
        if grad_x is not None and grad_x is grad and any(needed[3 * j] for j in range(len(inputs)) if j != k):
            grad_input = torch.empty_like(grad_x)
        grad_parameters = _norm_backward(each, grad if grad_x is None else grad_x, totals[[0, 1 + k]], grad_input)
        out += [grad_input, *grad_parameters]
    return out


def _norm_backward(normed: NeuronInput, grad: Tensor, totals: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
    """Write dL/dx of a norm to `out`, if it is given; return the gradients of the norm's weight and bias.

    The norm's statistics may be over the values of all workers.
    """
    assert normed.moments is not None
    share = normed.moments.share
    if share is None:
        grads: tuple[Tensor, Tensor] = _kernels(normed.x).norm_backward(normed, grad, totals[0], totals[1], out)
        return grads
    # The kernels divide by this worker's count: its share of the sum over all workers gives the same quotient.
    totals_of_all = normed.moments.workers.summed(totals.clone()) * share
    _kernels(normed.x).norm_backward(normed, grad, totals_of_all[0], totals_of_all[1], out)
    # The parameters' gradients are summed over the workers later, with all others.
    inverse = normed.inverse()
    return (totals[1] * inverse).to(inverse.dtype), totals[0].to(inverse.dtype)


def _summed(grad: Tensor) -> Tensor:
    """Return the sum over time, in the layout of a step: `Tensor.sum` may choose another layout."""
    return torch.sum(grad, 0, keepdim=True, out=empty_steps(grad, 1))


def _kernels(x: Tensor) -> ModuleType:
    kernels = kernels_for(x)
    assert kernels is not None
    return kernels
