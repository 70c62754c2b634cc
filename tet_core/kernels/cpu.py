"""Neurons, with the norms of their inputs, by the kernels compiled from C.

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
        ("surrogate", ctypes.c_int32),
        ("soft", ctypes.c_int32),
        ("detached", ctypes.c_int32),
        ("padding", ctypes.c_int32),
        ("width", ctypes.c_double),
        ("tau", ctypes.c_double),
        ("threshold", ctypes.c_double),
    ]


class _Geometry(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in Geometry._fields]


class _Input(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("step", ctypes.c_int64),
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("mean", ctypes.c_void_p),
        ("var", ctypes.c_void_p),
        ("eps", ctypes.c_double),
    ]


def moments(x: Tensor) -> Moments:
    """Return mean and biased variance of each channel of `[T, B, C, *]`, whose steps are dense, over T, B and *."""
    g = _geometry(x, x.shape[0], by_channel=True)
    mean, var = torch.empty(2, g.channels, dtype=computing_dtype(x.dtype))
    call_kernel("moments", x.dtype, pointer(x), ctypes.c_int64(x.stride(0)), g, pointer(mean), pointer(var))
    return Moments(mean, var)


def forward(fed: Sequence[Fed], neurons: Neurons, spikes: Tensor) -> None:
    """Run the neurons from a potential of 0 over the sum of their inputs, and write the spikes `[T, B, *]`."""
    g = _geometry(fed[0].x, spikes.shape[0], by_channel=are_normed(fed))
    call_kernel("lif_forward", spikes.dtype, _inputs(fed), ctypes.c_int(len(fed)), g, _struct(neurons), pointer(spikes))


def backward(
    fed: Sequence[Fed], neurons: Neurons, steps: int, grad_spikes: Tensor, summed: bool, grad: Tensor
) -> Tensor | None:
    """Run the neurons backwards, and write the gradient of the current.

    Args:
        fed: The inputs.
        neurons: The constants.
        steps: T.
        grad_spikes: `[T, B, *]`, laid out as the first input.
        summed: Whether to write only the sum over the steps.
        grad: Where it is written: `[T, B, *]`, or `[1, B, *]` if summed.

    Returns:
        `[1 + number of inputs, C]`: the sum of dL/dI, and of dL/dI * (x - mean) for each input; None without norms.
    """
    g = _geometry(fed[0].x, steps, by_channel=are_normed(fed))
    totals = torch.empty(1 + len(fed), g.channels, dtype=torch.float64) if are_normed(fed) else None
    call_kernel(
        "lif_backward",
        grad.dtype,
        _inputs(fed),
        ctypes.c_int(len(fed)),
        g,
        _struct(neurons),
        pointer(grad_spikes),
        ctypes.c_int64(grad_spikes.stride(0)),
        ctypes.c_int(summed),
        pointer(grad),
        pointer(totals),
    )
    return totals


def norm_backward(fed: Fed, grad: Tensor, total: Tensor, total_x: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
    """Write dL/dx of a norm: `a * (d - mean(d) - xhat * mean(d * xhat))`, with d = dL/dI and a = weight / deviation.

    Args:
        fed: The input.
        grad: dL/dI, `[T, B, *]` as x. If x has one step, the sum over all steps; means then divide by the numbers of
            one step, which gives the same.
        total: `[C]`: the sum of d over all steps.
        total_x: `[C]`: the sum of d * (x - mean).
        out: Where dL/dx is written; may be `grad`; None: it is not.

    Returns:
        dL/dweight and dL/dbias, `[C]`.
    """
    x = fed.x
    g = _geometry(x, x.shape[0], by_channel=True)
    of_weight, of_bias = torch.empty(2, g.channels, dtype=computing_dtype(x.dtype))
    call_kernel(
        "norm_backward",
        x.dtype,
        _inputs([fed]),
        g,
        pointer(grad),
        pointer(total),
        pointer(total_x),
        pointer(out),
        pointer(of_weight),
        pointer(of_bias),
    )
    return of_weight, of_bias


def call_kernel(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Call the kernel of a name for tensors of a type."""
    getattr(library(), f"{name}_{DTYPES[dtype]}")(*arguments)


def pointer(x: Tensor | None) -> ctypes.c_void_p:
    """Return the address of a tensor's first element; NULL for None."""
    return ctypes.c_void_p(None if x is None else x.data_ptr())


def _inputs(fed: Sequence[Fed]) -> Any:
    """Return the inputs as the kernels read them; the tensors must outlive it."""
    array = (_Input * len(fed))()
    for each, view in zip(fed, array, strict=True):
        view.data, view.step = each.x.data_ptr(), each.step
        if each.moments is not None:
            assert each.weight is not None
            assert each.bias is not None
            view.weight, view.bias, view.eps = each.weight.data_ptr(), each.bias.data_ptr(), each.eps
            view.mean, view.var = each.moments.mean.data_ptr(), each.moments.var.data_ptr()
    return array


def _struct(neurons: Neurons) -> _Neuron:
    return _Neuron(
        neurons.kind,
        neurons.reset == "soft",
        neurons.detach_reset,
        0,
        neurons.width,
        neurons.tau,
        neurons.v_threshold,
    )


def _geometry(x: Tensor, steps: int, *, by_channel: bool) -> _Geometry:
    return _Geometry(*geometry(x, steps, by_channel=by_channel))
