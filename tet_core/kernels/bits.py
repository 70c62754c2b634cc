"""Spikes as bits, eight to a byte."""

import ctypes

import torch
from torch import Tensor

from tet_core.kernels import cpu, kernels_for
from tet_core.kernels.cpu import call_kernel, pointer

_WEIGHTS = torch.tensor([1 << i for i in range(8)], dtype=torch.uint8)


def pack_bits(spikes: Tensor) -> Tensor:
    """Return one bit for each number of a dense tensor, in the order of memory: 1 if the number is not 0.

    Args:
        spikes: n numbers of any shape, dense in memory.

    Returns:
        `[ceil(n / 8)]`, uint8.
    """
    size = spikes.numel()
    if kernels_for(spikes) is cpu:
        bits = torch.empty((size + 7) // 8, dtype=torch.uint8)
        call_kernel("pack", spikes.dtype, pointer(spikes), ctypes.c_int64(size), pointer(bits))
        return bits
    is_set = torch.zeros((size + 7) // 8 * 8, dtype=torch.uint8, device=spikes.device)
    is_set[:size] = spikes.as_strided((size,), (1,)) != 0
    return (is_set.view(-1, 8) * _WEIGHTS.to(spikes.device)).sum(1, dtype=torch.uint8)


def unpack_bits(bits: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Return the numbers that were packed, in the order of memory.

    Args:
        bits: The result of `pack_bits`, `[ceil(size / 8)]`, uint8.
        size: How many numbers there are.
        dtype: The dtype of the result.

    Returns:
        `[size]`: 0 and 1.
    """
    out = torch.empty(size, dtype=dtype, device=bits.device)
    if kernels_for(out) is cpu:
        call_kernel("unpack", dtype, pointer(bits), ctypes.c_int64(size), pointer(out))
        return out
    is_set = (bits.unsqueeze(1) & _WEIGHTS.to(bits.device)) != 0
    return out.copy_(is_set.flatten()[:size])
