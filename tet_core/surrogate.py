"""Surrogate gradients: what stands in for the derivative of the spike in the backward pass.

Shapes: every function here is elementwise and keeps the shape and dtype of its argument.

Source: Deng et al., ICLR 2022, Eq. 5.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tet_core.config import SurrogateConfig


class Surrogate(Protocol):
    """Any surrogate: a function of the distance to the threshold."""

    def derivative(self, x: Tensor) -> Tensor:
        """Stand-in for da/du.

        Args:
            x: `u - v_threshold`, any shape, floating point; in units of the membrane potential.

        Returns:
            A new tensor of the shape and dtype of `x`.
        """
        ...


@dataclass(frozen=True)
class Triangle:
    """The triangle: `(1 / gamma**2) * max(0, gamma - |u - v_threshold|)` (Eq. 5).

    Attributes:
        gamma: Half the width of the base, in units of the membrane potential; the area under it is 1.

    Raises:
        ValueError: If `gamma` is not above 0.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"gamma is {self.gamma!r}; it must be above 0")

    def derivative(self, x: Tensor) -> Tensor:
        """Eq. 5 at `x = u - v_threshold`; see `Surrogate.derivative`."""
        height = x.abs().neg_().add_(self.gamma).clamp_min_(0.0)
        # Dividing by 1 changes no bit and would cost one more pass over memory.
        return height if self.gamma == 1.0 else height.div_(self.gamma**2)


def build_surrogate(config: SurrogateConfig) -> Surrogate:
    """Make the surrogate that a config names."""
    return Triangle(config.gamma)


class _Spike(torch.autograd.Function):
    """Forward: the Heaviside step. Backward: the surrogate's derivative."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, v_threshold: float, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(u)
        ctx.v_threshold, ctx.surrogate = v_threshold, surrogate
        return (u > v_threshold).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return grad_outputs[0] * ctx.surrogate.derivative(u - ctx.v_threshold), None, None


def spike(u: Tensor, v_threshold: float, surrogate: Surrogate) -> Tensor:
    """Fire where the potential is strictly above the threshold: `a = Theta(u - v_threshold)` (Eq. 2).

    Args:
        u: Membrane potential, any shape, floating point.
        v_threshold: The threshold, in units of `u`.
        surrogate: Stands in for da/du in the backward pass.

    Returns:
        Spikes, 0 or 1, of the shape and dtype of `u`.
    """
    out: Tensor = _Spike.apply(u, v_threshold, surrogate)  # type: ignore[no-untyped-call]
    return out
