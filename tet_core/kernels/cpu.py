"""Neurons, with the norms of their inputs, run by the kernels compiled from C.

Shapes: T time steps (always axis 0), B batch, C channels, * any more axes.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tet_core.kernels.inputs import Geometry, Moments, NeuronInput, Neurons, are_normed, computing_dtype, geometry
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


def forward(inputs: Sequence[NeuronInput], neurons: Neurons, spikes: Tensor) -> None:
    """Run the neurons from a potential of 0 over the sum of their inputs, and write the spikes `[T, B, *]`."""
    g = _geometry(inputs[0].x, spikes.shape[0], by_channel=are_normed(inputs))
    call_kernel(
        "lif_forward",
        spikes.dtype,
        _input_structs(inputs),
        ctypes.c_int(len(inputs)),
        g,
        _struct(neurons),
        pointer(spikes),
    )


def backward(
    inputs: Sequence[NeuronInput], neurons: Neurons, steps: int, grad_spikes: Tensor, summed: bool, grad: Tensor
) -> Tensor | None:
    """Run the neurons backwards, and write the gradient of the current.

    Args:
        inputs: The inputs, at least one.
        neurons: The constants.
        steps: T.
        grad_spikes: `[T, B, *]`, laid out as the first input.
        summed: Whether to write only the sum over the steps.
        grad: Receives the gradient: `[T, B, *]`, or `[1, B, *]` if summed.

    Returns:
        `[1 + number of inputs, C]`: the sum of dL/dI, and of dL/dI * (x - mean) for each input; None without norms.
    """
    g = _geometry(inputs[0].x, steps, by_channel=are_normed(inputs))
    totals = torch.empty(1 + len(inputs), g.channels, dtype=torch.float64) if are_normed(inputs) else None
    call_kernel(
        "lif_backward",
        grad.dtype,
        _input_structs(inputs),
        ctypes.c_int(len(inputs)),
        g,
        _struct(neurons),
        pointer(grad_spikes),
        ctypes.c_int64(grad_spikes.stride(0)),
        ctypes.c_int(summed),
        pointer(grad),
        pointer(totals),
    )
    return totals


def norm_backward(
    normed: NeuronInput, grad: Tensor, total: Tensor, total_x: Tensor, out: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Write dL/dx of a norm: `a * (d - mean(d) - xhat * mean(d * xhat))`, with d = dL/dI and a = weight / deviation.

    Args:
        normed: The input, which has a norm.
        grad: dL/dI, of the shape of x. If x has one step, this is the sum over all steps. The means then divide by the
            count of one step, which gives the same dL/dx.
        total: `[C]`: the sum of d over all steps.
        total_x: `[C]`: the sum of d * (x - mean).
        out: Receives dL/dx; may be `grad`; None: dL/dx is not computed.

    Returns:
        dL/dweight and dL/dbias, `[C]`.
    """
    x = normed.x
    g = _geometry(x, x.shape[0], by_channel=True)
    grad_weight, grad_bias = torch.empty(2, g.channels, dtype=computing_dtype(x.dtype))
    call_kernel(
        "norm_backward",
        x.dtype,
        _input_structs([normed]),
        g,
        pointer(grad),
        pointer(total),
        pointer(total_x),
        pointer(out),
        pointer(grad_weight),
        pointer(grad_bias),
    )
    return grad_weight, grad_bias


def call_kernel(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Call the kernel called `name` for tensors of a dtype."""
    getattr(library(), f"{name}_{DTYPES[dtype]}")(*arguments)


def pointer(x: Tensor | None) -> ctypes.c_void_p:
    """Return the address of a tensor's first element; NULL for None."""
    return ctypes.c_void_p(None if x is None else x.data_ptr())


def _input_structs(inputs: Sequence[NeuronInput]) -> Any:
    """Return the inputs as the kernels read them; the tensors must outlive the result."""
    array = (_Input * len(inputs))()
    for source, view in zip(inputs, array, strict=True):
        view.data, view.step = source.x.data_ptr(), source.step
        if source.moments is not None:
            assert source.weight is not None
            assert source.bias is not None
            view.weight, view.bias, view.eps = source.weight.data_ptr(), source.bias.data_ptr(), source.eps
            view.mean, view.var = source.moments.mean.data_ptr(), source.moments.var.data_ptr()
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
