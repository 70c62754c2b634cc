"""What neurons are fed with, and how it lies in memory, whatever kernels run them.

Shapes: T time steps (always axis 0), B batch, C channels, * any more axes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from tet_core.distributed import ALONE, Workers
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
    """Mean and biased variance of each channel, `[C]`, in the computing type.

    Where they are of what several workers have, `share` says how much of that is this one's, a scalar in float64.
    """

    mean: Tensor
    var: Tensor
    workers: Workers = ALONE
    share: Tensor | None = None


@dataclass(frozen=True)
class Fed:
    """An input, and what is done to it: `(x - mean) / sqrt(var + eps) * weight + bias`, or nothing.

    x is `[T, B, *]`, or `[1, B, *]` where every step is the same; weight and bias are `[C]`, in the computing type.
    """

    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    moments: Moments | None = None
    eps: float = 0.0

    @property
    def step(self) -> int:
        """Elements from one step to the next; 0 where all of them are one."""
        return 0 if self.x.shape[0] == 1 else self.x.stride(0)

    def inverse(self) -> Tensor:
        """`1 / sqrt(var + eps)` of each channel, `[C]`, where there is a norm."""
        assert self.moments is not None
        return (self.moments.var + self.eps).rsqrt()

    def affine(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift of each channel, `[C]`, that do the same as the norm; None where there is none."""
        if self.moments is None:
            return None
        assert self.weight is not None
        assert self.bias is not None
        scale = self.weight * self.inverse()
        return scale, self.bias - self.moments.mean * scale


class Geometry(NamedTuple):
    """How a kernel walks through `[T, B, *]`: a step as `[outer, channels, inner]`; channels-last has inner = 1."""

    steps: int
    outer: int
    channels: int
    inner: int


def geometry(x: Tensor, steps: int, *, by_channel: bool) -> Geometry:
    """That of a tensor whose steps are dense: by channel, axis 2, only where something depends on it."""
    _, batch, *sizes = x.shape
    size = math.prod(sizes)
    if not by_channel:
        return Geometry(steps, 1, 1, batch * size)
    channels = sizes[0]
    inner = size // channels
    if _is_contiguous(x.shape[1:], x.stride()[1:]):
        return Geometry(steps, batch, channels, inner)
    return Geometry(steps, batch * inner, channels, 1)


def are_normed(fed: Sequence[Fed]) -> bool:
    """Whether any of the inputs goes through a norm."""
    return any(each.moments is not None for each in fed)


def computing_dtype(dtype: torch.dtype) -> torch.dtype:
    """What the kernels compute in, for tensors of a type."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def aligned(x: Tensor, like: Tensor | None = None) -> Tensor:
    """`x` itself if each of its steps is dense (and laid out as those of `like`), else a copy that is."""
    step, strides = x.shape[1:], x.stride()[1:]
    as_asked = like is None or strides == like.stride()[1:]
    if as_asked and _is_dense(step, strides) and x.stride(0) >= math.prod(step):
        return x
    return empty_steps(x if like is None else like, x.shape[0]).copy_(x)


def empty_steps(like: Tensor, steps: int) -> Tensor:
    """An empty tensor of so many steps, time outermost, each laid out as those of `like` if these are dense."""
    step, strides = like.shape[1:], like.stride()[1:]
    if not _is_dense(step, strides):
        return like.new_empty((steps, *step))
    # A stride of 0 says that all steps are one, which those of no sample are not.
    return like.new_empty_strided((steps, *step), (math.prod(step) or 1, *strides))


@cache
def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a step fills its memory: contiguous, or channels-last."""
    if len(shape) == 4:
        batch, channels, *sizes = shape
        in_memory = (batch, *sizes, channels), (strides[0], *strides[2:], strides[1])
        return _is_contiguous(*in_memory) or _is_contiguous(shape, strides)
    return _is_contiguous(shape, strides)


@cache
def _is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the last axis is innermost; the stride of an axis of one number says nothing."""
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
