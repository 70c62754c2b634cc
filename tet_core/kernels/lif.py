"""Neurons, with the norms in front of them, by the compiled kernels.

For the backward pass the inputs are kept, which the norms need anyway, and nothing else: potentials and spikes are
computed again there.

Shapes: T time steps (always axis 0), B batch, C channels, * any more axes.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tet_core.kernels.native import library
from tet_core.surrogate import Arctan, Exponential, Rectangular, SigmoidForward, Surrogate, Triangle

_SUFFIXES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}
_SURROGATES: tuple[type, ...] = (Triangle, Rectangular, Exponential, Arctan, SigmoidForward)


class _Neuron(ctypes.Structure):
    _fields_ = [
        ("surrogate", ctypes.c_int32), ("soft", ctypes.c_int32), ("detached", ctypes.c_int32),
        ("padding", ctypes.c_int32), ("width", ctypes.c_double), ("tau", ctypes.c_double),
        ("threshold", ctypes.c_double),
    ]  # fmt: skip


class _Geometry(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("steps", "outer", "channels", "inner")]


class _Input(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("step", ctypes.c_int64), ("scale", ctypes.c_void_p), ("shift", ctypes.c_void_p),
        ("mean", ctypes.c_void_p),
    ]  # fmt: skip


@dataclass(frozen=True)
class Neurons:
    """The constants of a layer of neurons, under the names of `tet_core.neuron.LIF`."""

    tau: float
    v_threshold: float
    surrogate: Surrogate
    reset: str
    detach_reset: bool

    def as_struct(self) -> _Neuron:
        """The same as the kernels read it."""
        surrogate = self.surrogate
        width = surrogate.k if isinstance(surrogate, SigmoidForward) else getattr(surrogate, "gamma")  # noqa: B009
        kind = _SURROGATES.index(type(surrogate))
        return _Neuron(kind, self.reset == "soft", self.detach_reset, 0, width, self.tau, self.v_threshold)


@dataclass(frozen=True)
class Moments:
    """Mean and biased variance of each channel, `[C]`, in the computing type."""

    mean: Tensor
    var: Tensor


def is_known(x: Tensor) -> bool:
    """Whether there are kernels for its device and type."""
    return x.device.type == "cpu" and x.dtype in _SUFFIXES


def is_supported(x: Tensor, surrogate: Surrogate) -> bool:
    """Whether there is a kernel for neurons of this surrogate."""
    return is_known(x) and type(surrogate) in _SURROGATES


def computing_dtype(dtype: torch.dtype) -> torch.dtype:
    """What the kernels compute in, for tensors of a type."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def moments(x: Tensor) -> Moments:
    """Mean and biased variance of each channel of `[T, B, C, *]`, over T, B and *."""
    dtype = computing_dtype(x.dtype)
    x = aligned(x)
    g = _geometry(x, x.shape[0], by_channel=True)
    base = x[0, 0].flatten(1)[:, 0].to(dtype).contiguous()
    sums = torch.zeros(library().chunks_of(g), 2, g.channels, dtype=torch.float64)
    call("moments", x.dtype, pointer(x), _step(x), g, pointer(base), pointer(sums))
    mean, square = sums.sum(0) / (x.numel() // g.channels)
    return Moments((base + mean).to(dtype), (square - mean * mean).clamp_min_(0).to(dtype))


class FusedLIF(torch.autograd.Function):
    """Spikes `[T, B, *]` of neurons whose current is a sum of inputs, each of them normalised or not.

    The tensors are, for each input, x `[T, B, *]`, or `[1, B, *]` where every step is the same, and weight and bias
    `[C]`, None where x is taken as it is. `norms` has, for each input, its moments and eps, or None; `again` how x is
    computed again in the backward pass, or None where it is kept.
    """

    @staticmethod
    def forward(
        ctx: Any, neurons: Neurons, steps: int, norms: Sequence[tuple[Moments, float] | None],
        again: Sequence[Callable[[], Tensor] | None], *tensors: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """Run the neurons from rest."""
        fed = _fed(norms, tensors)
        like = fed[0].x
        spikes = _empty(like, steps)
        g = _geometry(like, steps, by_channel=any(norms))
        inputs = _Inputs(fed)
        call("lif_forward", like.dtype, inputs.array, ctypes.c_int(len(fed)), g, neurons.as_struct(), pointer(spikes))
        saved = ((None if make else each.x, each.weight, each.bias) for each, make in zip(fed, again, strict=True))
        ctx.save_for_backward(*(tensor for tensors in saved for tensor in tensors))
        ctx.neurons, ctx.steps, ctx.norms, ctx.again = neurons, steps, norms, again
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Run them backwards."""
        tensors = list(ctx.saved_tensors)
        for k, make in enumerate(ctx.again):
            tensors[3 * k] = make() if make else tensors[3 * k]
        fed = _fed(ctx.norms, tensors)
        like, steps = fed[0].x, ctx.steps
        summed = all(each.x.shape[0] == 1 for each in fed)
        grad_spikes = aligned(grad_outputs[0], like)
        grad = _empty(like, 1 if summed else steps)
        g = _geometry(like, steps, by_channel=any(ctx.norms))
        inputs, sums = _Inputs(fed), None
        if any(ctx.norms):
            sums = torch.zeros(library().chunks_of(g), 1 + len(fed), g.channels, dtype=torch.float64)
        call(
            "lif_backward", like.dtype, inputs.array, ctypes.c_int(len(fed)), g, ctx.neurons.as_struct(),
            pointer(grad_spikes), _step(grad_spikes), ctypes.c_int(summed), pointer(grad), pointer(sums),
        )  # fmt: skip
        totals = None if sums is None else sums.sum(0)
        return None, None, None, None, *_input_gradients(ctx.needs_input_grad[4:], fed, steps, grad, totals)


@dataclass(frozen=True)
class _Fed:
    """An input, and what is done to it: `(x - mean) * inverse * weight + bias`, or nothing."""

    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    mean: Tensor | None = None
    inverse: Tensor | None = None


def _fed(norms: Sequence[tuple[Moments, float] | None], tensors: Sequence[Tensor | None]) -> list[_Fed]:
    fed: list[_Fed] = []
    for norm, x, weight, bias in zip(norms, tensors[::3], tensors[1::3], tensors[2::3], strict=True):
        assert x is not None
        x = aligned(x, fed[0].x if fed else None)
        if norm is None:
            fed.append(_Fed(x))
        else:
            fed.append(_Fed(x, weight, bias, norm[0].mean, (norm[0].var + norm[1]).rsqrt()))
    return fed


class _Inputs:
    """The kernels' view of the inputs; it keeps alive what it points into."""

    def __init__(self, fed: Sequence[_Fed]) -> None:
        self.array = (_Input * len(fed))()
        self._kept: list[Tensor] = []
        for each, view in zip(fed, self.array, strict=True):
            view.data, view.step = each.x.data_ptr(), 0 if each.x.shape[0] == 1 else each.x.stride(0)
            if each.mean is None:
                continue
            assert each.weight is not None
            assert each.bias is not None
            assert each.inverse is not None
            scale = each.weight.detach() * each.inverse
            shift = each.bias.detach() - each.mean * scale
            view.scale, view.shift, view.mean = scale.data_ptr(), shift.data_ptr(), each.mean.data_ptr()
            self._kept += [scale, shift]


def _input_gradients(
    needed: Sequence[bool], fed: Sequence[_Fed], steps: int, grad: Tensor, totals: Tensor | None
) -> list[Tensor | None]:
    """Gradients of x, weight and bias of each input, from that of the current and the sums over it."""
    out: list[Tensor | None] = []
    for k, each in enumerate(fed):
        of_x = None
        if needed[3 * k]:
            of_x = grad if each.x.shape[0] == grad.shape[0] else grad.sum(0, keepdim=True)
        if each.mean is None or totals is None:
            out += [of_x, None, None]
            continue
        assert each.inverse is not None
        if of_x is not None:
            shared = of_x is grad and any(needed[3 * j] for j in range(len(fed)) if j != k)
            of_x = _through_norm(each, of_x, totals[0], totals[1 + k], torch.empty_like(of_x) if shared else of_x)
        dtype = each.mean.dtype
        out += [of_x, (totals[1 + k] * each.inverse).to(dtype), totals[0].to(dtype)]
    return out


def _through_norm(fed: _Fed, grad: Tensor, total: Tensor, total_x: Tensor, out: Tensor) -> Tensor:
    """dL/dx of a batch norm: `a * (d - mean(d) - xhat * mean(d * xhat))`, with d = dL/dI; written to `out`.

    The sums run over all steps. Of an input whose steps are one, `grad` is their sum, and n counts one of them: then
    the same holds.
    """
    assert fed.weight is not None
    assert fed.inverse is not None
    assert fed.mean is not None
    dtype, n = fed.mean.dtype, fed.x.numel() // fed.mean.numel()
    inverse = fed.inverse.double()
    a = fed.weight.detach().double() * inverse
    b = -a * inverse.square() * total_x / n
    c = -a * total / n - b * fed.mean.double()
    a, b, c = (each.to(dtype).contiguous() for each in (a, b, c))
    g = _geometry(fed.x, fed.x.shape[0], by_channel=True)
    call(
        "norm_backward", fed.x.dtype, pointer(fed.x), _step(fed.x), g, pointer(grad), pointer(a), pointer(b),
        pointer(c), pointer(out),
    )  # fmt: skip
    return out


# -- memory ----------------------------------------------------------------------------------------------------------


def aligned(x: Tensor, like: Tensor | None = None) -> Tensor:
    """`x` itself if each of its steps is dense (and laid out as those of `like`), else a copy that is."""
    strides = x.stride()[1:] if like is None else like.stride()[1:]
    if x.stride()[1:] == strides and _is_dense(x[0]) and x.stride(0) >= x[0].numel():
        return x
    return _empty(x if like is None else like, x.shape[0]).copy_(x)


def _empty(like: Tensor, steps: int) -> Tensor:
    """An empty tensor of so many steps, time outermost, each laid out as those of `like` if these are dense."""
    step = like[0] if _is_dense(like[0]) else torch.empty(like.shape[1:], dtype=like.dtype)
    return like.new_empty_strided((steps, *step.shape), (step.numel(), *step.stride()))


def _is_dense(step: Tensor) -> bool:
    channels_last = step.ndim == 4 and step.is_contiguous(memory_format=torch.channels_last)
    return channels_last or step.is_contiguous()


def _geometry(x: Tensor, steps: int, *, by_channel: bool) -> _Geometry:
    """How the kernels walk through `[T, B, *]`: by channel, axis 2, only where something depends on it."""
    step = x[0]
    if not by_channel:
        return _Geometry(steps, 1, 1, step.numel())
    channels = step.shape[1]
    if not step.is_contiguous():
        return _Geometry(steps, step.numel() // channels, channels, 1)
    return _Geometry(steps, step.shape[0], channels, step[0, 0].numel())


def call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Call the kernel of this name for tensors of a type."""
    getattr(library(), f"{name}_{_SUFFIXES[dtype]}")(*arguments)


def pointer(x: Tensor | None) -> ctypes.c_void_p:
    """Where its memory begins; NULL for None."""
    return ctypes.c_void_p(None if x is None else x.data_ptr())


def _step(x: Tensor) -> ctypes.c_int64:
    return ctypes.c_int64(x.stride(0))
