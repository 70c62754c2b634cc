"""Neurons, with the norms of their inputs, run by the Triton kernels.

This module has the same functions as `tet_core.kernels.cpu`.

Shapes: T time steps (always axis 0), B batch, C channels, * any more axes.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from tet_core.kernels.inputs import Moments, NeuronInput, Neurons, are_normed, computing_dtype, geometry
from tet_core.kernels.lif_triton import combine_channels, lif_backward, lif_forward, sum_channels

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_COMPUTING = {torch.float32: tl.float32, torch.float64: tl.float64}
_BLOCK = 1024
# Rows and channels of a block in the sums by channel; a row has one number for each channel.
_ROWS, _CHANNELS = 64, 32
_ROWS_CONTIGUOUS, _CHANNELS_CONTIGUOUS = 1024, 1
_MAX_CHUNKS = 128


def moments(x: Tensor) -> Moments:
    """Return mean and biased variance of each channel of `[T, B, C, *]`, whose steps are dense, over T, B and *."""
    dtype = computing_dtype(x.dtype)
    base = x[0, 0].flatten(1)[:, 0].to(dtype).contiguous()
    mean, square = _channel_sums(x, x, base, squares=True) / (x.numel() // x.shape[2])
    return Moments((base + mean).to(dtype), (square - mean * mean).clamp_min_(0).to(dtype))


def forward(inputs: Sequence[NeuronInput], neurons: Neurons, spikes: Tensor) -> None:
    """Run the neurons from a potential of 0 over the sum of their inputs, and write the spikes `[T, B, *]`."""
    inputs = _at_most_two(inputs, spikes.shape[0])
    steps, size = spikes.shape[0], spikes[0].numel()
    if size:
        lif_forward[(triton.cdiv(size, _BLOCK),)](
            *_input_arguments(inputs, steps), spikes, size, **_constants(inputs, neurons, steps, spikes.dtype)
        )


def backward(
    inputs: Sequence[NeuronInput], neurons: Neurons, steps: int, grad_spikes: Tensor, summed: bool, grad: Tensor
) -> Tensor | None:
    """Run the neurons backwards, write the gradient of the current, and return the sums of the norms' gradients."""
    two, size = _at_most_two(inputs, steps), grad[0].numel()
    scratch = grad.new_empty((steps, size), dtype=computing_dtype(grad.dtype))
    if size:
        lif_backward[(triton.cdiv(size, _BLOCK),)](
            *_input_arguments(two, steps),
            grad_spikes,
            grad_spikes.stride(0),
            grad,
            scratch,
            size,
            SUMMED=summed,
            DETACHED=neurons.detach_reset,
            **_constants(two, neurons, steps, grad.dtype),
        )
    if not are_normed(inputs):
        return None
    sums = [_channel_sums(each.x, grad, each.moments.mean) for each in inputs if each.moments is not None]
    rows = iter(each[1] for each in sums)
    return torch.stack([sums[0][0], *(sums[0][0] if each.moments is None else next(rows) for each in inputs)])


def norm_backward(
    normed: NeuronInput, grad: Tensor, total: Tensor, total_x: Tensor, out: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Write dL/dx of a norm to `out`, and return dL/dweight and dL/dbias."""
    assert normed.moments is not None
    assert normed.weight is not None
    dtype, inverse = normed.moments.mean.dtype, normed.inverse().double()
    if out is not None and normed.x.numel():
        g = geometry(normed.x, normed.x.shape[0], by_channel=True)
        n, size = normed.x.numel() // len(total), normed.x[0].numel()
        a = normed.weight.double() * inverse
        b = -a * inverse.square() * total_x / n
        c = -a * total / n - b * normed.moments.mean.double()
        combine_channels[(triton.cdiv(size, _BLOCK), g.steps)](
            normed.x,
            normed.x.stride(0),
            grad,
            grad.stride(0),
            *(each.to(dtype) for each in (a, b, c)),
            out,
            out.stride(0),
            size,
            g.channels,
            g.inner,
            COMPUTING=_COMPUTING[dtype],
            BLOCK=_BLOCK,
        )
    return (total_x * inverse).to(dtype), total.to(dtype)


def _at_most_two(inputs: Sequence[NeuronInput], steps: int) -> list[NeuronInput]:
    """Return one or two inputs with the same sum: the kernels take no more, so add the others to the second one."""
    first, *others = inputs
    if len(others) < 2:
        return [first, *others]
    total = _whole(others[0], steps)
    for each in others[1:]:
        total = total + _whole(each, steps)
    return [first, NeuronInput(total.to(first.x.dtype))]


def _whole(source: NeuronInput, steps: int) -> Tensor:
    x = source.x.expand(steps, *source.x.shape[1:]).to(computing_dtype(source.x.dtype))
    if (affine := source.affine()) is None:
        return x
    scale, shift = (each.view(-1, *[1] * (x.ndim - 3)) for each in affine)
    return x * scale + shift


def _input_arguments(inputs: Sequence[NeuronInput], steps: int) -> list[Any]:
    """Return the kernels' first arguments; a missing input or norm is replaced by a tensor that is not read."""
    arguments: list[Any] = []
    for each in (inputs[0], inputs[-1]):
        scale, shift = each.affine() or (each.x, each.x)
        arguments += [each.x, each.step, scale, shift]
    g = geometry(inputs[0].x, steps, by_channel=are_normed(inputs))
    return [*arguments, g.channels, g.inner]


def _constants(inputs: Sequence[NeuronInput], neurons: Neurons, steps: int, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "STEPS": steps,
        "TWO": len(inputs) > 1,
        "NORMED_0": inputs[0].moments is not None,
        "NORMED_1": inputs[-1].moments is not None,
        "KIND": neurons.kind,
        "WIDTH": neurons.width,
        "TAU": neurons.tau,
        "THRESHOLD": neurons.v_threshold,
        "SOFT": neurons.reset == "soft",
        "COMPUTING": _COMPUTING[computing_dtype(dtype)],
        "BLOCK": _BLOCK,
    }


def _channel_sums(x: Tensor, grad: Tensor, base: Tensor, *, squares: bool = False) -> Tensor:
    """Return sums over T, B and * of each channel, `[2, C]`, float64.

    The sums are of `x - base` and its square, or of `grad` and `grad * (x - base)`. An x of one step is used for all
    steps of grad.
    """
    steps = x.shape[0] if squares else grad.shape[0]
    g = geometry(x, steps, by_channel=True)
    block_rows, block_channels = (_ROWS, _CHANNELS) if g.inner == 1 else (_ROWS_CONTIGUOUS, _CHANNELS_CONTIGUOUS)
    num_rows = g.steps * g.outer * g.inner
    chunks = max(1, min(_MAX_CHUNKS, triton.cdiv(num_rows, block_rows)))
    sums = torch.zeros(chunks, 2, g.channels, dtype=base.dtype, device=x.device)
    if x.numel():
        sum_channels[(triton.cdiv(g.channels, block_channels), chunks)](
            x,
            0 if x.shape[0] == 1 else x.stride(0),
            grad,
            grad.stride(0),
            base,
            sums,
            num_rows,
            g.outer,
            g.channels,
            g.inner,
            triton.cdiv(num_rows, chunks),
            SQUARES=squares,
            COMPUTING=_COMPUTING[base.dtype],
            ROWS=block_rows,
            CHANNELS=block_channels,
        )
    return sums.sum(0, dtype=torch.float64)
