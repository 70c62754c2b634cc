"""What neurons are fed with, and how it lies in memory, whatever kernels run them.

Shapes: T time steps (always axis 0), B batch, C channels, * any more axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tet_core.surrogate import Arctan, Exponential, Rectangular, SigmoidForward, Surrogate, Triangle

# Those that there are kernels for, in the order in which these number them.
SURROGATES: tuple[type, ...] = (Triangle, Rectangular, Exponential, Arctan, SigmoidForward)


@dataclass(frozen=True)
class Neurons:
    """The constants of a layer of neurons, under the names of `tet_core.neuron.LIF`."""

    tau: float
    v_threshold: float
    surrogate: Surrogate
    reset: str
    detach_reset: bool

    @property
    def kind(self) -> int:
        """The surrogate's number."""
        return SURROGATES.index(type(self.surrogate))

    @property
    def width(self) -> float:
        """The surrogate's one constant."""
        surrogate = self.surrogate
        width: float = surrogate.k if isinstance(surrogate, SigmoidForward) else getattr(surrogate, "gamma")  # noqa: B009
        return width


@dataclass(frozen=True)
class Moments:
    """Mean and biased variance of each channel, `[C]`, in the computing type."""

    mean: Tensor
    var: Tensor


@dataclass(frozen=True)
class Fed:
    """An input, and what is done to it: `(x - mean) * inverse * weight + bias`, or nothing.

    x is `[T, B, *]`, or `[1, B, *]` where every step is the same; the others are `[C]`.
    """

    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    mean: Tensor | None = None
    inverse: Tensor | None = None

    @property
    def step(self) -> int:
        """Elements from one step to the next; 0 where all of them are one."""
        return 0 if self.x.shape[0] == 1 else self.x.stride(0)

    def affine(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift of each channel, `[C]`, that do the same as the norm; None where there is none."""
        if self.mean is None:
            return None
        assert self.weight is not None
        assert self.bias is not None
        assert self.inverse is not None
        scale = self.weight.detach() * self.inverse
        return scale, self.bias.detach() - self.mean * scale


class Geometry(NamedTuple):
    """How a kernel walks through `[T, B, *]`: a step as `[outer, channels, inner]`; channels-last has inner = 1."""

    steps: int
    outer: int
    channels: int
    inner: int


def geometry(x: Tensor, steps: int, *, by_channel: bool) -> Geometry:
    """That of a tensor whose steps are dense: by channel, axis 2, only where something depends on it."""
    step = x[0]
    if not by_channel:
        return Geometry(steps, 1, 1, step.numel())
    channels = step.shape[1]
    if not step.is_contiguous():
        return Geometry(steps, step.numel() // channels, channels, 1)
    return Geometry(steps, step.shape[0], channels, step[0, 0].numel())


def are_normed(fed: Sequence[Fed]) -> bool:
    """Whether any of the inputs goes through a norm."""
    return any(each.mean is not None for each in fed)


def computing_dtype(dtype: torch.dtype) -> torch.dtype:
    """What the kernels compute in, for tensors of a type."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def aligned(x: Tensor, like: Tensor | None = None) -> Tensor:
    """`x` itself if each of its steps is dense (and laid out as those of `like`), else a copy that is."""
    strides = x.stride()[1:] if like is None else like.stride()[1:]
    if x.stride()[1:] == strides and _is_dense(x[0]) and x.stride(0) >= x[0].numel():
        return x
    return empty_steps(x if like is None else like, x.shape[0]).copy_(x)


def empty_steps(like: Tensor, steps: int) -> Tensor:
    """An empty tensor of so many steps, time outermost, each laid out as those of `like` if these are dense."""
    step = like[0] if _is_dense(like[0]) else torch.empty(like.shape[1:], dtype=like.dtype)
    return like.new_empty_strided((steps, *step.shape), (step.numel(), *step.stride()))


def _is_dense(step: Tensor) -> bool:
    channels_last = step.ndim == 4 and step.is_contiguous(memory_format=torch.channels_last)
    return channels_last or step.is_contiguous()
