"""Neurons, with the norms in front of them, by the compiled kernels.

Shapes: T time steps (always axis 0), B batch, C channels, * any more axes.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tet_core.kernels.inputs import Fed, Geometry, Moments, Neurons, are_normed, computing_dtype, geometry
from tet_core.kernels.native import library

DTYPES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}


class _Neuron(ctypes.Structure):
    _fields_ = [
        ("surrogate", ctypes.c_int32), ("soft", ctypes.c_int32), ("detached", ctypes.c_int32),
        ("padding", ctypes.c_int32), ("width", ctypes.c_double), ("tau", ctypes.c_double),
        ("threshold", ctypes.c_double),
    ]  # fmt: skip


class _Geometry(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in Geometry._fields]


class _Input(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("step", ctypes.c_int64), ("scale", ctypes.c_void_p), ("shift", ctypes.c_void_p),
        ("mean", ctypes.c_void_p),
    ]  # fmt: skip


def moments(x: Tensor) -> Moments:
    """Mean and biased variance of each channel of `[T, B, C, *]`, whose steps are dense, over T, B and *."""
    dtype = computing_dtype(x.dtype)
    g = _geometry(x, x.shape[0], by_channel=True)
    base = x[0, 0].flatten(1)[:, 0].to(dtype).contiguous()
    sums = torch.zeros(library().chunks_of(g), 2, g.channels, dtype=torch.float64)
    call("moments", x.dtype, pointer(x), ctypes.c_int64(x.stride(0)), g, pointer(base), pointer(sums))
    mean, square = sums.sum(0) / (x.numel() // g.channels)
    return Moments((base + mean).to(dtype), (square - mean * mean).clamp_min_(0).to(dtype))


def forward(fed: Sequence[Fed], neurons: Neurons, spikes: Tensor) -> None:
    """Run the neurons from rest over the sum of their inputs, and write the spikes `[T, B, *]`."""
    g = _geometry(fed[0].x, spikes.shape[0], by_channel=are_normed(fed))
    inputs = _Inputs(fed)
    call("lif_forward", spikes.dtype, inputs.array, ctypes.c_int(len(fed)), g, _struct(neurons), pointer(spikes))


def backward(
    fed: Sequence[Fed], neurons: Neurons, steps: int, grad_spikes: Tensor, summed: bool, grad: Tensor
) -> Tensor | None:
    """Run them backwards, and write the gradient of the current.

    Args:
        fed: The inputs.
        neurons: The constants.
        steps: T.
        grad_spikes: `[T, B, *]`, laid out as the first input.
        summed: Whether only the sum over the steps is asked for.
        grad: `[T, B, *]`, or `[1, B, *]` where it is summed.

    Returns:
        `[1 + number of inputs, C]`: the sum of dL/dI, and of dL/dI * (x - mean) for each input; None without norms.
    """
    g = _geometry(fed[0].x, steps, by_channel=are_normed(fed))
    inputs, sums = _Inputs(fed), None
    if are_normed(fed):
        sums = torch.zeros(library().chunks_of(g), 1 + len(fed), g.channels, dtype=torch.float64)
    call(
        "lif_backward", grad.dtype, inputs.array, ctypes.c_int(len(fed)), g, _struct(neurons), pointer(grad_spikes),
        ctypes.c_int64(grad_spikes.stride(0)), ctypes.c_int(summed), pointer(grad), pointer(sums),
    )  # fmt: skip
    return None if sums is None else sums.sum(0)


def combine(x: Tensor, grad: Tensor, a: Tensor, b: Tensor, c: Tensor, out: Tensor) -> None:
    """`a * grad + b * x + c` by channel, a to c being `[C]`: a norm's gradient; `out` may be `grad`."""
    g = _geometry(x, x.shape[0], by_channel=True)
    call(
        "norm_backward", x.dtype, pointer(x), ctypes.c_int64(x.stride(0)), g, pointer(grad), pointer(a), pointer(b),
        pointer(c), pointer(out),
    )  # fmt: skip


def call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Call the kernel of this name for tensors of a type."""
    getattr(library(), f"{name}_{DTYPES[dtype]}")(*arguments)


def pointer(x: Tensor | None) -> ctypes.c_void_p:
    """Where its memory begins; NULL for None."""
    return ctypes.c_void_p(None if x is None else x.data_ptr())


class _Inputs:
    """The kernels' view of the inputs; it keeps alive what it points into."""

    def __init__(self, fed: Sequence[Fed]) -> None:
        self.array = (_Input * len(fed))()
        self._kept: list[Tensor] = []
        for each, view in zip(fed, self.array, strict=True):
            view.data, view.step = each.x.data_ptr(), each.step
            if (affine := each.affine()) is not None:
                assert each.mean is not None
                scale, shift = affine
                view.scale, view.shift, view.mean = scale.data_ptr(), shift.data_ptr(), each.mean.data_ptr()
                self._kept += [scale, shift]


def _struct(neurons: Neurons) -> _Neuron:
    return _Neuron(
        neurons.kind, neurons.reset == "soft", neurons.detach_reset, 0, neurons.width, neurons.tau,
        neurons.v_threshold,
    )  # fmt: skip


def _geometry(x: Tensor, steps: int, *, by_channel: bool) -> _Geometry:
    return _Geometry(*geometry(x, steps, by_channel=by_channel))
