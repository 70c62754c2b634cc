"""Tests of memory levels: `balanced` and `least` keep fewer bytes for the backward pass, and gradients stay equal."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.compiler import needs_compiler
from tet_core import kernels, memory
from tet_core.kernels.bits import pack_bits, unpack_bits
from tet_core.models import build_model

MODELS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "vgg_small": (1, 8, {}),
    "vggsnn": (2, 16, {"width": 8}),
    "resnet19": (3, 8, {"width": 8}),
    "sew_resnet34": (3, 32, {"width": 4}),
    "spiking_resnet34": (3, 32, {"width": 4}),
}


@pytest.fixture(params=[pytest.param("compiled", marks=needs_compiler), "loop"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the test twice: with the compiled kernels, and with the loop."""
    monkeypatch.setenv(kernels.VARIABLE, request.param)
    kernels.in_use.cache_clear()
    yield request.param
    kernels.in_use.cache_clear()


def network(name: str) -> tuple[nn.Module, Tensor]:
    channels, size, fields = MODELS[name]
    torch.manual_seed(0)
    model = build_model(name, num_classes=10, in_channels=channels, input_size=size, num_steps=3, **fields)
    x = torch.randn(3, 2, channels, size, size)
    still = x[:1].expand(3, *x.shape[1:])
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, x if name == "vggsnn" else still


def gradients(model: nn.Module, x: Tensor, level: Any, precision: torch.dtype) -> list[Tensor]:
    model = copy.deepcopy(model)
    with memory.kept(level), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        out = model(x.to(precision) if precision == torch.float64 else x)
    out.double().square().mean().backward()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(found) == len([*model.parameters()])
    return found + [buffer.clone() for buffer in model.buffers()]


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_equal_at_every_memory_level(kernel: str, name: str, precision: torch.dtype) -> None:
    model, x = network(name)
    model = model.double() if precision == torch.float64 else model
    expected = gradients(model, x, "fast", precision)
    for level in ("balanced", "least"):
        found = gradients(model, x, level, precision)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True)), level


def bytes_kept(model: nn.Module, x: Tensor, level: Any) -> int:
    """Return the bytes that autograd holds after the forward pass, without the network and its input."""
    held: dict[int, int] = {}
    excluded = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers(), x)}

    def watched(pack: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        def packed(tensor: Tensor) -> Any:
            kept = pack(tensor)
            for each in memory.tensors_of(kept):
                held[each.untyped_storage().data_ptr()] = each.untyped_storage().nbytes()
            return kept

        return packed

    with memory.kept(level, watched):
        out = model(x)
    kept = sum(size for place, size in held.items() if place not in excluded)
    del out
    return kept


@needs_compiler
def test_spikes_are_kept_as_bits_and_inputs_of_norms_not_at_all() -> None:
    model, x = network("vggsnn")
    fast, balanced, least = (bytes_kept(model, x, level) for level in ("fast", "balanced", "least"))
    assert balanced < 0.6 * fast
    assert least < 0.05 * fast


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000, 100_003])
def test_packed_bits_unpack_to_the_same_spikes(kernel: str, dtype: torch.dtype, size: int) -> None:
    spikes = (torch.rand(size, generator=torch.Generator().manual_seed(size)) > 0.7).to(dtype)
    bits = pack_bits(spikes)
    assert bits.numel() == -(-size // 8)
    assert torch.equal(unpack_bits(bits, size, dtype), spikes)


def test_a_tensor_that_changed_after_it_was_noted_is_kept_whole() -> None:
    weight = torch.ones(4, requires_grad=True)
    with memory.kept("balanced"):
        spikes = torch.tensor([0.0, 1.0, 1.0, 0.0])
        memory.note_spikes(spikes)
        spikes.mul_(0.5)
        out = (weight * spikes).sum()
    torch.autograd.backward(out)
    assert weight.grad is not None
    assert weight.grad.tolist() == [0.0, 0.5, 0.5, 0.0]


def test_another_tensor_at_the_same_address_is_not_mistaken_for_spikes() -> None:
    weight = torch.ones(1024, requires_grad=True)
    place = bytearray(4 * 1024)  # stands for memory that the allocator reuses
    with memory.kept("balanced"):
        spikes = torch.frombuffer(place, dtype=torch.float32)
        memory.note_spikes(spikes)
        del spikes
        other = torch.frombuffer(place, dtype=torch.float32).fill_(0.25)
        out = (weight * other).sum()
    torch.autograd.backward(out)
    assert weight.grad is not None
    assert weight.grad.eq(0.25).all()
