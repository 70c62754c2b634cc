"""Surrogate gradients, which replace the derivative of the spike in the backward pass.

Each is scaled so that the area under it is 1, as is the area under the derivative of a step.

Shapes: every function here is elementwise and keeps the shape and dtype of its argument.

Source: Deng et al., ICLR 2022, Eq. 5.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tet_core.errors import ConfigError


class Surrogate(Protocol):
    """Any surrogate: a function of the distance to the threshold."""

    def derivative(self, x: Tensor) -> Tensor:
        """Return the replacement of da/du.

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
        ConfigError: If `gamma` is not above 0.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("gamma", self.gamma)

    def derivative(self, x: Tensor) -> Tensor:
        """Return Eq. 5 at `x = u - v_threshold`; see `Surrogate.derivative`."""
        height = x.abs().neg_().add_(self.gamma).clamp_min_(0.0)
        # Dividing by 1 would change no value, and cost one more pass over memory.
        return height if self.gamma == 1.0 else height.div_(self.gamma**2)


@dataclass(frozen=True)
class Rectangular:
    """The rectangle: `1 / (2 * gamma)` where `|u - v_threshold| < gamma`, else 0.

    Attributes:
        gamma: Half the width, in units of the membrane potential.

    Raises:
        ConfigError: If `gamma` is not above 0.

    Source: named, without constants, in Deng et al., ICLR 2022, Sec. 3; Wu et al., Frontiers 2018.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("gamma", self.gamma)

    def derivative(self, x: Tensor) -> Tensor:
        """Return the rectangle at `x = u - v_threshold`; see `Surrogate.derivative`."""
        return (x.abs() < self.gamma).to(x.dtype).div_(2 * self.gamma)


@dataclass(frozen=True)
class Exponential:
    """The exponential: `exp(-|u - v_threshold| / gamma) / (2 * gamma)`.

    Attributes:
        gamma: Distance over which the derivative falls by a factor of e, in units of the membrane potential.

    Raises:
        ConfigError: If `gamma` is not above 0.

    Source: named, without constants, in Deng et al., ICLR 2022, Sec. 3; Shrestha and Orchard, NeurIPS 2018.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("gamma", self.gamma)

    def derivative(self, x: Tensor) -> Tensor:
        """Return the exponential at `x = u - v_threshold`; see `Surrogate.derivative`."""
        return x.abs().div_(-self.gamma).exp_().div_(2 * self.gamma)


@dataclass(frozen=True)
class Arctan:
    """The derivative of the arctangent: `1 / (pi * gamma * (1 + ((u - v_threshold) / gamma)**2))`.

    Attributes:
        gamma: Distance at which the derivative has half its height, in units of the membrane potential.

    Raises:
        ConfigError: If `gamma` is not above 0.

    Source: Fang et al., ICCV 2021 (arXiv:2007.05785); their alpha is `2 / (pi * gamma)`.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("gamma", self.gamma)

    def derivative(self, x: Tensor) -> Tensor:
        """Return the derivative of the arctangent at `x = u - v_threshold`; see `Surrogate.derivative`."""
        return x.div(self.gamma).square_().add_(1).reciprocal_().div_(math.pi * self.gamma)


@dataclass(frozen=True)
class SigmoidForward:
    """No surrogate: the forward pass itself is `sigmoid(k * (u - v_threshold))`, and this is its true derivative.

    Attributes:
        k: Steepness, in units of 1 / membrane potential.

    Raises:
        ConfigError: If `k` is not above 0.

    Source: Deng et al., ICLR 2022, Table 2.
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("k", self.k)

    def forward(self, x: Tensor) -> Tensor:
        """Return a neuron's output at `x = u - v_threshold`: between 0 and 1, of the shape and dtype of `x`."""
        return torch.sigmoid(self.k * x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return `k * sigmoid(k * x) * (1 - sigmoid(k * x))`; see `Surrogate.derivative`."""
        a = self.forward(x)
        return self.k * a * (1 - a)


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(name, value, "it must be above 0")


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


def spike(u: Tensor, v_threshold: float | Tensor, surrogate: Surrogate) -> Tensor:
    """Fire where the potential is strictly above the threshold: `a = Theta(u - v_threshold)` (Eq. 2).

    Args:
        u: Membrane potential, any shape, floating point.
        v_threshold: The threshold, in units of `u`; a scalar tensor gets a gradient too.
        surrogate: Replaces da/du in the backward pass.

    Returns:
        Spikes of the shape and dtype of `u`: 0 or 1, or between them with `SigmoidForward`.
    """
    if isinstance(surrogate, SigmoidForward):
        return surrogate.forward(u - v_threshold)
    if isinstance(v_threshold, Tensor):
        # u - v_threshold > 0 exactly where u > v_threshold: the difference of two floats is 0 only if they are equal.
        u, v_threshold = u - v_threshold, 0.0
    out: Tensor = _Spike.apply(u, v_threshold, surrogate)  # type: ignore[no-untyped-call]
    return out
