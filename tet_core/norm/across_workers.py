"""Batch normalisation by the statistics of all workers' shares, in plain torch on any device.

The kernels do the same for most networks. This module is for networks of ReLUs, networks with learnt neurons, and norms
with a scale for each step.

Shapes: B batch, C channels, H and W pixels.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tet_core.distributed import Workers, merged_moments

# All axes but the channels.
_AXES = (0, 2, 3)


def batch_norm_of_all(
    x_BCHW: Tensor, weight: Tensor, bias: Tensor, eps: float, workers: Workers
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return `weight * (x - mean) / sqrt(var + eps) + bias`, with mean and variance over all workers.

    Args:
        x_BCHW: `[B, C, H, W]`: this worker's share, which may have no sample.
        weight: `[C]`.
        bias: `[C]`.
        eps: Added to the variance.
        workers: The workers.

    Returns:
        The normalised share, of x's dtype; mean and biased variance, `[C]`; and the number of values of each channel,
        a scalar.
    """
    result: tuple[Tensor, Tensor, Tensor, Tensor] = _NormOfAll.apply(  # type: ignore[no-untyped-call]
        x_BCHW, weight, bias, eps, workers
    )
    return result


class _NormOfAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, workers: Workers) -> tuple[Tensor, ...]:
        wide = x.to(weight.dtype)
        count = x.numel() // x.shape[1]
        if count:
            var, mean = torch.var_mean(wide, _AXES, correction=0)
        else:
            mean, var = torch.zeros_like(weight), torch.ones_like(weight)
        mean, var, total = merged_moments(workers, mean, var, count)
        inverse = (var + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, inverse, total)
        ctx.workers = workers
        ctx.mark_non_differentiable(mean, var, total)
        y = (wide - _spread(mean)) * _spread(inverse * weight) + _spread(bias)
        return y.to(x.dtype), mean, var, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return `a * (d - mean(d) - xhat * mean(d * xhat))`, with d = dL/dy and a = weight / deviation."""
        x, weight, mean, inverse, total = ctx.saved_tensors
        d, centred = grads[0].to(weight.dtype), x.to(weight.dtype) - _spread(mean)
        sums = torch.stack([d.sum(_AXES, dtype=torch.float64), (d * centred).sum(_AXES, dtype=torch.float64)])
        mean_d, mean_dx = ctx.workers.summed(sums.clone()) / total
        by_x = (inverse.double().square() * mean_dx).to(weight.dtype)
        grad_x = (d - _spread(mean_d.to(weight.dtype)) - centred * _spread(by_x)) * _spread(inverse * weight)
        grad_bias, grad_weight = sums[0].to(weight.dtype), (sums[1] * inverse).to(weight.dtype)
        return grad_x.to(x.dtype), grad_weight, grad_bias, None, None


def _spread(by_channel: Tensor) -> Tensor:
    """Return `[C]` as a view that broadcasts to `[B, C, H, W]`."""
    return by_channel.view(-1, 1, 1)
