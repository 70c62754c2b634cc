"""The leaky integrate-and-fire neuron with hard reset, one step of it and a whole sequence.

Shapes: T time steps (always axis 0), B batch, * any more axes. `[T, B, *]` in, `[T, B, *]` out.

Equations, for each step t (Deng et al., ICLR 2022, Eq. 1-3):

    u(t) = tau * v(t-1) + I(t)          v(0) = 0
    a(t) = Theta(u(t) - v_threshold)    strictly greater fires
    v(t) = u(t) * (1 - a(t))            the reset is not detached from the gradient
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tet_core.surrogate import Surrogate, Triangle, spike


class LIFStep(NamedTuple):
    """What one step leaves behind, each of the current's shape.

    Attributes:
        spikes: 0 or 1.
        v: The potential after the reset; the next step starts from it.
    """

    spikes: Tensor
    v: Tensor


def lif_step(
    v: Tensor, current: Tensor, *, tau: float = 0.5, v_threshold: float = 1.0, surrogate: Surrogate | None = None
) -> LIFStep:
    """One step of the neuron (Eq. 1-3), differentiable by autograd.

    This is the definition. `LIF` computes the same over a sequence, with a backward pass of its own.

    Args:
        v: Potential after the step before, `[B, *]`; zeros at first.
        current: Pre-synaptic input I(t), `[B, *]`.
        tau: Decay factor of the potential at each step, 0 to 1 (not a time constant).
        v_threshold: The neuron fires when its potential is strictly above this.
        surrogate: Stands in for the derivative of the spike; the triangle with gamma = 1 by default.

    Returns:
        Spikes and the potential after the reset.

    Example:
        >>> import torch
        >>> lif_step(torch.tensor([0.8]), torch.tensor([0.7]))
        LIFStep(spikes=tensor([1.]), v=tensor([0.]))
    """
    u = torch.add(current, v, alpha=tau)
    a = spike(u, v_threshold, surrogate or Triangle())
    return LIFStep(a, u * (1 - a))


class _LIFLoop(torch.autograd.Function):
    """The loop over time with its exact gradient, of which only u is kept for the backward pass.

    With s = surrogate.derivative(u - v_threshold), going back from t = T to 1:

        dL/du(t) = g_a(t) * s + g_v(t) * ((1 - a) - u * s)
        g_v(t-1) = tau * dL/du(t)

    The last factor holds the path through the reset. The spikes are not kept: u says which neuron fired.
    """

    @staticmethod
    def forward(ctx: Any, current: Tensor, tau: float, v_threshold: float, surrogate: Surrogate) -> Tensor:
        keep = ctx.needs_input_grad[0]
        spikes = _empty_over_time(current)
        potentials: list[Tensor] = []
        v: Tensor | None = None
        for t in range(current.shape[0]):
            u = current[t].clone() if v is None else torch.add(current[t], v, alpha=tau)
            torch.gt(u, v_threshold, out=spikes[t])
            if keep:
                potentials.append(u)
            v = torch.addcmul(u, u, spikes[t], value=-1)  # u * (1 - a): u or exactly 0
        ctx.save_for_backward(*potentials)
        ctx.tau, ctx.v_threshold, ctx.surrogate = tau, v_threshold, surrogate
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        grad_spikes, potentials = grad_outputs[0], ctx.saved_tensors
        grad_current = grad_spikes.new_empty(0)
        grad_v: Tensor | None = None
        for t in reversed(range(len(potentials))):
            u = potentials[t]
            s = ctx.surrogate.derivative(u - ctx.v_threshold)
            if grad_v is None:
                grad_current = _empty_over_time(u.unsqueeze(0).expand(len(potentials), *u.shape))
                torch.mul(grad_spikes[t], s, out=grad_current[t])
            else:
                torch.mul(grad_spikes[t], s, out=grad_current[t])
                kept = (u <= ctx.v_threshold).to(u.dtype)
                grad_current[t].addcmul_(grad_v, kept.addcmul_(u, s, value=-1))
            grad_v = grad_current[t] * ctx.tau
        return grad_current, None, None, None


def _empty_over_time(x: Tensor) -> Tensor:
    """An empty tensor of the shape of `x`, time outermost, each step laid out in memory as the steps of `x` are.

    `empty_like` would do but for an input that repeats one step (stride 0 over time): it may put time innermost.
    """
    step = torch.empty_like(x[0])
    return x.new_empty_strided(x.shape, (step.numel(), *step.stride()))


class LIF(nn.Module):
    """A layer of leaky integrate-and-fire neurons over a whole sequence; it keeps no state between calls.

    Args:
        tau: Decay factor of the potential at each step, 0 to 1 (not a time constant).
        v_threshold: The neuron fires when its potential is strictly above this.
        surrogate: Stands in for the derivative of the spike; the triangle with gamma = 1 by default.

    Raises:
        ValueError: If `tau` is outside 0 to 1 or `v_threshold` is not above 0.

    Example:
        >>> import torch
        >>> LIF()(torch.tensor([[0.9], [0.9], [0.9]])).flatten()
        tensor([0., 1., 0.])
    """

    def __init__(self, tau: float = 0.5, v_threshold: float = 1.0, surrogate: Surrogate | None = None) -> None:
        super().__init__()
        if not 0 <= tau <= 1:
            raise ValueError(f"tau is {tau!r}; the decay factor must be from 0 to 1")
        if not v_threshold > 0:
            raise ValueError(f"v_threshold is {v_threshold!r}; it must be above 0")
        self.tau, self.v_threshold = tau, v_threshold
        self.surrogate: Surrogate = surrogate or Triangle()

    def forward(self, current: Tensor) -> Tensor:
        """Run the neurons from rest.

        Args:
            current: Pre-synaptic input `[T, B, *]`, floating point.

        Returns:
            Spikes, 0 or 1, of the shape and dtype of `current`.

        Raises:
            ValueError: If there is no time axis or T is 0.
        """
        if current.ndim < 1 or current.shape[0] == 0:
            raise ValueError(f"current has shape {tuple(current.shape)}; it must be [T, B, *] with T from 1 up")
        out: Tensor = _LIFLoop.apply(  # type: ignore[no-untyped-call]
            current, self.tau, self.v_threshold, self.surrogate
        )
        return out

    def extra_repr(self) -> str:
        """The constants, for `print(model)`."""
        return f"tau={self.tau}, v_threshold={self.v_threshold}, surrogate={self.surrogate}"
