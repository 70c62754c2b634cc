"""One step of an integrate-and-fire neuron: the definition that all other code is tested against.

Equations, for a step t (Deng et al., ICLR 2022, Eq. 1-3), with a hard reset:

    u(t) = tau * v(t-1) + I(t)          v(0) = 0
    a(t) = Theta(u(t) - v_threshold)    fires if u is strictly above the threshold
    v(t) = u(t) * (1 - a(t))            the reset is not detached from the gradient

A soft reset subtracts the threshold instead: `v(t) = u(t) - v_threshold * a(t)`.

An infinite potential fires, and a hard reset sets it to 0 like any other. The product above would be `inf * 0`, which
is not a number. In the reset's gradient, `(1 - a) - u * da/du`, the last term is then set to 0, because a surrogate's
derivative at infinity is 0.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from tet_core.surrogate import Surrogate, Triangle, spike

Reset = Literal["hard", "soft"]


class LIFStep(NamedTuple):
    """The outcome of one step, both of the current's shape.

    Attributes:
        spikes: 0 or 1 (between them with `tet_core.surrogate.SigmoidForward`).
        v: The potential after the reset; the next step starts from it.
    """

    spikes: Tensor
    v: Tensor


def lif_step(
    v: Tensor,
    current: Tensor,
    *,
    tau: float | Tensor = 0.5,
    v_threshold: float | Tensor = 1.0,
    surrogate: Surrogate | None = None,
    reset: Reset = "hard",
    detach_reset: bool = False,
) -> LIFStep:
    """Run one step of the neuron (Eq. 1-3), differentiable by autograd in all tensors.

    The layers compute the same over a sequence; if no constant is learnt, they use their own backward pass.

    Args:
        v: Potential after the step before, `[B, *]`; zeros at first.
        current: Pre-synaptic input I(t), `[B, *]`.
        tau: Decay factor of the potential at each step, 0 to 1 (not a time constant); 1 gives the IF neuron.
        v_threshold: The neuron fires when its potential is strictly above this.
        surrogate: Replaces the derivative of the spike; the triangle with gamma = 1 by default.
        reset: "hard" to 0, or "soft" by subtraction of the threshold.
        detach_reset: Whether the gradient stops at the spikes within the reset. In the paper it does not.

    Returns:
        Spikes and the potential after the reset.

    Example:
        >>> import torch
        >>> lif_step(torch.tensor([0.8]), torch.tensor([0.7]))
        LIFStep(spikes=tensor([1.]), v=tensor([0.]))
    """
    u = current + tau * v if isinstance(tau, Tensor) else torch.add(current, v, alpha=tau)
    a = spike(u, v_threshold, surrogate or Triangle())
    reset_spikes = a.detach() if detach_reset else a
    return LIFStep(a, _hard_reset(u, reset_spikes) if reset == "hard" else u - v_threshold * reset_spikes)


class _HardReset(torch.autograd.Function):
    """`u * (1 - a)`, with its gradient, where an infinite u counts as 0 in a product with 0."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, a: Tensor) -> Tensor:
        ctx.save_for_backward(u, a)
        return (u * (1 - a)).masked_fill_(u == math.inf, 0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        u, a = ctx.saved_tensors
        grad_v = grad_outputs[0]
        grad_a = -(grad_v * u.masked_fill(u.isinf(), 0)) if ctx.needs_input_grad[1] else None
        return grad_v * (1 - a), grad_a


def _hard_reset(u: Tensor, a: Tensor) -> Tensor:
    v: Tensor = _HardReset.apply(u, a)  # type: ignore[no-untyped-call]
    return v
