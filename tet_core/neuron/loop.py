"""The loop over time in plain torch. It keeps one tensor for each step, for its own backward pass.

Shapes: T time steps (always axis 0), B batch, * any more axes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tet_core.kernels.inputs import computing_dtype
from tet_core.neuron.step import Reset
from tet_core.surrogate import Surrogate


class SpikeLoop(torch.autograd.Function):
    """`lif_step` over a sequence, with its exact gradient; only u is kept for the backward pass.

    u, a and v are those of `tet_core.neuron.step`; g_a and g_v are the gradients of the loss L by a and by v. With
    s = surrogate.derivative(u - v_threshold), from t = T back to 1:

        dL/du(t) = g_a(t) * s + g_v(t) * dv/du(t)
        g_v(t-1) = tau * dL/du(t)

    where dv/du includes the path through the reset: (1 - a) - u * s for a hard reset, 1 - v_threshold * s for a soft
    one. If the reset is detached, dv/du is 1 - a for a hard reset, 1 for a soft one. The spikes are not kept: u shows
    which neuron fired.

    Potentials and gradients between the steps have the computing type: float32 for a current in bfloat16 or float16.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, tau: float, v_threshold: float, surrogate: Surrogate, reset: Reset, detached: bool
    ) -> Tensor:
        """Run the loop from a potential of 0; the arguments are those of `lif_step`."""
        keep, computing = ctx.needs_input_grad[0], computing_dtype(current.dtype)
        spikes = _empty_over_time(current)
        potentials: list[Tensor] = []
        v: Tensor | None = None
        for t in range(current.shape[0]):
            step = current[t].to(computing)
            u = step.clone() if v is None else torch.add(step, v, alpha=tau)
            fired = u > v_threshold
            spikes[t] = fired
            if keep:
                potentials.append(u)
            # The hard reset: u, or exactly 0 after a spike, even if u is infinite.
            v = u.masked_fill(fired, 0) if reset == "hard" else torch.sub(u, fired.to(computing), alpha=v_threshold)
        ctx.save_for_backward(*potentials)
        ctx.tau, ctx.v_threshold, ctx.surrogate, ctx.reset, ctx.detached = tau, v_threshold, surrogate, reset, detached
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """Run the loop backwards; only the current gets a gradient."""
        grad_spikes, potentials = grad_outputs[0], ctx.saved_tensors
        grad_current, dtype = grad_spikes.new_empty(0), grad_spikes.dtype
        grad_v: Tensor | None = None
        for t in reversed(range(len(potentials))):
            u = potentials[t]
            s = ctx.surrogate.derivative(u - ctx.v_threshold)
            grad_u = grad_spikes[t].to(s.dtype) * s
            if grad_v is None:
                grad_current = _empty_over_time(u.to(dtype).unsqueeze(0).expand(len(potentials), *u.shape))
            else:
                grad_u.addcmul_(grad_v, _through_reset(u, s, ctx.v_threshold, ctx.reset, ctx.detached))
            grad_current[t] = grad_u
            grad_v = grad_u.mul_(ctx.tau)
        return grad_current, None, None, None, None, None


def _through_reset(u: Tensor, s: Tensor, v_threshold: float, reset: Reset, detached: bool) -> Tensor:
    """Return dv/du of one step."""
    if reset == "soft":
        return torch.ones_like(u) if detached else (s * -v_threshold).add_(1)
    unfired = (u <= v_threshold).to(u.dtype)
    # At an infinite u, s is 0. Their product would be NaN; it counts as 0.
    return unfired if detached else unfired.addcmul_(u.masked_fill(u.isinf(), 0), s, value=-1)


def _empty_over_time(x: Tensor) -> Tensor:
    """Return an empty tensor of the shape of `x`, time outermost, each step in the memory layout of a step of `x`.

    `empty_like` may put time innermost for an input that repeats one step (stride 0 over time).
    """
    step = torch.empty_like(x[0])
    # Without samples a step has no numbers, but a stride of 0 over time would mark a static input (`tet_core.static`).
    return x.new_empty_strided(x.shape, (step.numel() or 1, *step.stride()))
