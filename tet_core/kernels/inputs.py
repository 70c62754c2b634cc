"""The inputs of neurons and their layout in memory, the same for all kernels.

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

# The surrogates that the kernels have; the index is a surrogate's number in the kernels.
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
        """The surrogate's number in the kernels."""
        return SURROGATES.index(type(self.surrogate))

    @property
    def width(self) -> float:
        """The surrogate's constant."""
        surrogate = self.surrogate
        width: float = surrogate.k if isinstance(surrogate, SigmoidForward) else getattr(surrogate, "gamma")  # noqa: B009
        return width


@dataclass(frozen=True)
class Moments:
    """Mean and biased variance of each channel, `[C]`, in the computing type.

    If they are over the values of several workers, `share` is this worker's part of all values, a float64 scalar.
    """

    mean: Tensor
    var: Tensor
    workers: Workers = ALONE
    share: Tensor | None = None


@dataclass(frozen=True)
class NeuronInput:
    """An input and its norm, `(x - mean) / sqrt(var + eps) * weight + bias`, or an input without a norm.

    x is `[T, B, *]`, or `[1, B, *]` if every step is the same; weight and bias are `[C]`, in the computing type.
    """

    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    moments: Moments | None = None
    eps: float = 0.0

    @property
    def step(self) -> int:
        """Stride from one step to the next, in elements; 0 if all steps share one."""
        return 0 if self.x.shape[0] == 1 else self.x.stride(0)

    def inverse(self) -> Tensor:
        """Return `1 / sqrt(var + eps)` of each channel, `[C]`; there must be a norm."""
        assert self.moments is not None
        return (self.moments.var + self.eps).rsqrt()

    def affine(self) -> tuple[Tensor, Tensor] | None:
        """Return scale and shift of each channel, `[C]`, equal to the norm; None if there is no norm."""
        if self.moments is None:
            return None
        assert self.weight is not None
        assert self.bias is not None
        scale = self.weight * self.inverse()
        return scale, self.bias - self.moments.mean * scale


class Geometry(NamedTuple):
    """The layout of `[T, B, *]` for a kernel: a step is `[outer, channels, inner]`; channels-last has inner = 1."""

    steps: int
    outer: int
    channels: int
    inner: int


def geometry(x: Tensor, steps: int, *, by_channel: bool) -> Geometry:
    """Return how a kernel reads a tensor whose steps are dense.

    Args:
        x: `[T, B, *]`, or `[1, B, *]` if every step is the same.
        steps: T.
        by_channel: Whether the kernel must know the channels (axis 2); without a norm it need not.
    """
    _, batch, *sizes = x.shape
    size = math.prod(sizes)
    if not by_channel:
        return Geometry(steps, 1, 1, batch * size)
    channels = sizes[0]
    inner = size // channels
    if _is_contiguous(x.shape[1:], x.stride()[1:]):
        return Geometry(steps, batch, channels, inner)
    return Geometry(steps, batch * inner, channels, 1)


def are_normed(inputs: Sequence[NeuronInput]) -> bool:
    """Return whether any of the inputs has a norm."""
    return any(each.moments is not None for each in inputs)


def computing_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that the kernels compute in, for tensors of a dtype: float32 for bfloat16 and float16."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def aligned(x: Tensor, like: Tensor | None = None) -> Tensor:
    """Return `x` itself if its steps are dense (and laid out like those of `like`), else a copy with such steps."""
    step, strides = x.shape[1:], x.stride()[1:]
    as_asked = like is None or strides == like.stride()[1:]
    if as_asked and _is_dense(step, strides) and x.stride(0) >= math.prod(step):
        return x
    return empty_steps(x if like is None else like, x.shape[0]).copy_(x)


def empty_steps(like: Tensor, steps: int) -> Tensor:
    """Return an empty tensor of `steps` steps, time outermost, laid out like the steps of `like` if they are dense."""
    step, strides = like.shape[1:], like.stride()[1:]
    if not _is_dense(step, strides):
        return like.new_empty((steps, *step))
    # Without samples a step has no numbers, but a stride of 0 over time would mark a static input (`tet_core.static`).
    return like.new_empty_strided((steps, *step), (math.prod(step) or 1, *strides))


@cache
def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether a step is dense in memory: contiguous, or channels-last."""
    if len(shape) == 4:
        batch, channels, *sizes = shape
        in_memory = (batch, *sizes, channels), (strides[0], *strides[2:], strides[1])
        return _is_contiguous(*in_memory) or _is_contiguous(shape, strides)
    return _is_contiguous(shape, strides)


@cache
def _is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether the last axis is innermost; the stride of an axis of size 1 does not matter."""
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
