"""Tensors kept from the forward to the backward pass, in fewer bytes and with the same gradients.

Spikes are 0 or 1, so they are kept as bits. Pools of spikes are computed again from these bits. At the level
"least" the inputs of norms are computed again too, from the spikes that entered their convolutions.

Shapes: T time steps, B batch, C channels, H and W pixels.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tet_core.config import Memory
from tet_core.kernels.bits import pack_bits, unpack_bits

_ACTIVE: ContextVar["_Store | None"] = ContextVar("memory", default=None)


Pack = Callable[[Tensor], Any]


@contextmanager
def kept(level: Memory, watched: Callable[[Pack], Pack] | None = None) -> Iterator[None]:
    """Keep only the tensors that a memory level allows, from the forward passes within this context.

    Args:
        level: "fast": everything is kept. "balanced": spikes are kept as bits. "least": only spikes are kept; the
            inputs of norms are computed again in the backward pass.
        watched: Wrapper of the function that packs each kept tensor, for instance to count bytes; see `tensors_of`.
    """
    if level == "fast" and watched is None:
        yield
        return
    store = None if level == "fast" else _Store(recomputes=level == "least")
    pack: Pack = store.pack if store is not None else lambda tensor: tensor
    token = _ACTIVE.set(store)
    try:
        with torch.autograd.graph.saved_tensors_hooks(watched(pack) if watched else pack, _unpack):
            yield
    finally:
        _ACTIVE.reset(token)


def tensors_of(kept_tensor: Any) -> Iterator[Tensor]:
    """Yield the tensors that a packed tensor keeps in memory.

    Args:
        kept_tensor: The result of a `Pack` function.
    """
    if isinstance(kept_tensor, _Packed):
        whole = kept_tensor.whole
        yield from [whole.bits] if isinstance(whole, _Bits) else tensors_of(whole.source)
    elif isinstance(kept_tensor, Tensor):
        yield kept_tensor


def note_spikes(spikes: Tensor) -> None:
    """Note that a tensor holds only 0 and 1."""
    if (store := _ACTIVE.get()) is not None:
        store.note(spikes, lambda known: _Bits(pack_bits(known.detach()), known.dtype, known.numel()))


def note_pool(pooled: Tensor, source: Tensor, pool: Callable[[Tensor], Tensor]) -> None:
    """Note that a tensor is the result of `pool` on `source`."""
    if (store := _ACTIVE.get()) is not None and isinstance(kept_source := store.pack(source.detach()), _Packed):
        store.note(pooled, lambda known: _Again(kept_source, pool))


def computed_again(layer: nn.Conv2d, x: Tensor) -> Callable[[], Tensor] | None:
    """Return a function that computes a convolution's output again, to the same bits; None if the output is kept."""
    store = _ACTIVE.get()
    if store is None or not store.recomputes:
        return None
    source = store.pack(x.detach())
    device, enabled = x.device.type, torch.is_autocast_enabled(x.device.type)
    dtype = torch.get_autocast_dtype(device)

    def again() -> Tensor:
        with torch.no_grad(), torch.autocast(device, dtype=dtype) if enabled else nullcontext():
            out: Tensor = layer._conv_forward(_unpack(source), layer.weight, layer.bias)
        return out

    return again


@dataclass(frozen=True)
class _Bits:
    """A dense tensor of 0 and 1 in the order of its memory, as bits."""

    bits: Tensor
    dtype: torch.dtype
    size: int

    def flat(self) -> Tensor:
        return unpack_bits(self.bits, self.size, self.dtype)


@dataclass(frozen=True)
class _Again:
    """A dense tensor that is computed again from another tensor."""

    source: "_Packed"
    function: Callable[[Tensor], Tensor]

    def flat(self) -> Tensor:
        out = self.function(_unpack(self.source))
        return out.as_strided((out.numel(),), (1,))


@dataclass(frozen=True)
class _Packed:
    """A view of a tensor that is kept as bits or computed again."""

    whole: _Bits | _Again
    shape: torch.Size
    strides: tuple[int, ...]


@dataclass
class _Noted:
    """A noted tensor, and the function that reduces it; `reduced` is None until it is first needed."""

    tensor: "weakref.ref[Tensor]"
    version: int
    reduce: Callable[[Tensor], _Bits | _Again]
    reduced: _Bits | _Again | None = None


@dataclass
class _Store:
    """The noted tensors, by their address."""

    recomputes: bool
    _noted: dict[int, _Noted] = field(default_factory=dict)

    def note(self, tensor: Tensor, reduce: Callable[[Tensor], _Bits | _Again]) -> None:
        if _fills_storage(tensor):
            self._noted[tensor.data_ptr()] = _Noted(weakref.ref(tensor), tensor._version, reduce)

    def pack(self, tensor: Tensor) -> Any:
        """Return a tensor as it is kept: unchanged, or reduced to bits or to a way to compute it again."""
        noted = self._noted.get(tensor.data_ptr())
        if noted is None:
            return tensor
        known = noted.tensor()
        # The address may belong to another tensor by now, or the tensor may have changed since.
        if known is None or known._version != noted.version or known.dtype != tensor.dtype:
            del self._noted[tensor.data_ptr()]
            return tensor
        if not _fills_storage(tensor) or tensor.numel() != known.numel():
            return tensor
        noted.reduced = noted.reduced or noted.reduce(known)
        return _Packed(noted.reduced, tensor.shape, tensor.stride())


def _unpack(kept_tensor: Any) -> Tensor:
    if not isinstance(kept_tensor, _Packed):
        assert isinstance(kept_tensor, Tensor)
        return kept_tensor
    return kept_tensor.whole.flat().as_strided(kept_tensor.shape, kept_tensor.strides)


def _fills_storage(tensor: Tensor) -> bool:
    """Return whether a tensor fills its whole storage, in some order of axes."""
    if tensor.storage_offset() or tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size():
        return False
    strides = sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)
    expected = 1
    for stride, size in strides:
        if stride != expected:
            return False
        expected *= size
    return True
