"""Tests of the compiled kernels: they agree with the loop in plain torch."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.compiler import needs_compiler
from tests.surrogates import IN_KERNELS
from tet_core import kernels
from tet_core.current import Current, Term
from tet_core.kernels import VARIABLE
from tet_core.neuron import LIF
from tet_core.norm import TdBN
from tet_core.surrogate import Surrogate

pytestmark = needs_compiler

# Gives a contiguous tensor [T, B, C, H, W] the layout channels-last at each step.
CHANNELS_LAST: Callable[[Tensor], Tensor] = lambda x: (  # noqa: E731
    x.flatten(0, 1).contiguous(memory_format=torch.channels_last).view(x.shape)
)


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Yield a function that chooses the kernels of this process; restore the choice afterwards."""

    def chosen(which: str) -> None:
        monkeypatch.setenv(VARIABLE, which)
        kernels.in_use.cache_clear()

    yield chosen
    kernels.in_use.cache_clear()


def outcome(layer: nn.Module, current: Callable[[Tensor], Any], x: Tensor, grad: Tensor) -> dict[str, Tensor]:
    """Return the spikes and the gradient of the input. Parameters of norms get their gradients too, in `grad`."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    spikes = layer(current(x))
    assert spikes.shape == grad.shape
    spikes.backward(grad)
    assert x.grad is not None
    return {"spikes": spikes.detach(), "x": x.grad}


def both(
    choose: Callable[[str], None], layer: LIF, x: Tensor, grad: Tensor, current: Callable[[Tensor], Any] = lambda x: x
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    choose("loop")
    expected = outcome(layer, current, x, grad)
    choose("compiled")
    return outcome(layer, current, x, grad), expected


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("surrogate", IN_KERNELS, ids=lambda s: type(s).__name__)
def test_in_float64_kernels_and_loop_agree_to_the_last_digits(
    choose: Callable[[str], None], surrogate: Surrogate, reset: Any, detach: bool
) -> None:
    draws = torch.Generator().manual_seed(1)
    for shape in ((1, 2, 3), (2, 3, 5, 7, 3), (5, 1, 600), (16, 2, 1, 9)):
        x = torch.randn(shape, generator=draws, dtype=torch.float64).mul_(1.5)
        grad = torch.randn(shape, generator=draws, dtype=torch.float64)
        layer = LIF(0.6, 0.9, surrogate, reset=reset, detach_reset=detach)
        ours, expected = both(choose, layer, x, grad)
        for key in expected:
            torch.testing.assert_close(ours[key], expected[key], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("surrogate", IN_KERNELS, ids=lambda s: type(s).__name__)
@settings(max_examples=20)
@given(T=st.integers(1, 16), batch=st.integers(0, 3), n=st.integers(0, 700), seed=st.integers(0, 2**31))
def test_in_smaller_types_all_spikes_agree_except_near_the_threshold(
    surrogate: Surrogate, dtype: torch.dtype, T: int, batch: int, n: int, seed: int
) -> None:
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(T, batch, n, generator=draws).to(dtype)
    grad = torch.randn(T, batch, n, generator=draws).to(dtype)
    layer = LIF(surrogate=surrogate)
    potentials = _potentials(x)
    ours, expected = _both_without_fixture(layer, x, grad)
    clear = ((potentials - 1).abs() > 1e-3).all(0).expand_as(x)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-5
    for key in expected:
        torch.testing.assert_close(ours[key][clear], expected[key][clear], rtol=tolerance, atol=tolerance)


def _potentials(x: Tensor) -> Tensor:
    """Return u(t) in float64: only neurons far enough from the threshold are compared."""
    v, potentials = torch.zeros_like(x[0], dtype=torch.float64), []
    for step in x.double():
        u = step + 0.5 * v
        potentials.append(u)
        v = u * (u <= 1)
    return torch.stack(potentials)


def _both_without_fixture(layer: LIF, x: Tensor, grad: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    with pytest.MonkeyPatch.context() as patch:

        def choose(which: str) -> None:
            patch.setenv(VARIABLE, which)
            kernels.in_use.cache_clear()

        found = both(choose, layer, x, grad)
    kernels.in_use.cache_clear()
    return found


# Memory layouts by name: each function gives a contiguous tensor this layout.
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels-last": CHANNELS_LAST,
    "every second column": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "turned": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
}


@pytest.mark.parametrize("grad_layout", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layouts_change_no_result(choose: Callable[[str], None], layout: str, grad_layout: str) -> None:
    draws = torch.Generator().manual_seed(2)
    x = LAYOUTS[layout](torch.randn(3, 2, 5, 4, 6, generator=draws, dtype=torch.float64))
    grad = LAYOUTS[grad_layout](torch.randn(3, 2, 5, 4, 6, generator=draws, dtype=torch.float64))
    norm, other = TdBN(5).double(), TdBN(5).double()
    layer = LIF()
    choose("loop")
    expected = outcome(layer, lambda x: Current.of(x, norm) + Current.of(x), x, grad)
    choose("compiled")
    ours = outcome(layer, lambda x: Current.of(x, other) + Current.of(x), x, grad)
    for key in expected:
        torch.testing.assert_close(ours[key], expected[key], rtol=1e-11, atol=1e-11)
    for name, parameter in norm.named_parameters():
        torch.testing.assert_close(other.get_parameter(name).grad, parameter.grad, rtol=1e-11, atol=1e-11)
    for name, buffer in norm.named_buffers():
        torch.testing.assert_close(other.get_buffer(name), buffer, rtol=1e-12, atol=1e-12)


def test_the_bits_are_the_same_for_any_number_of_threads(choose: Callable[[str], None]) -> None:
    choose("compiled")
    draws = torch.Generator().manual_seed(3)
    x, grad = (CHANNELS_LAST(torch.randn(4, 8, 24, 13, 13, generator=draws)) for _ in range(2))
    before, bits = torch.get_num_threads(), []
    try:
        for num_threads in (1, 2, 3):
            torch.set_num_threads(num_threads)
            norm = TdBN(24)
            results = outcome(LIF(), lambda x, norm=norm: Current.of(x, norm), x, grad)  # type: ignore[misc]
            bits.append([*results.values(), norm.weight.grad, norm.bias.grad, norm.running_var])
    finally:
        torch.set_num_threads(before)
    for others in bits[1:]:
        assert all(torch.equal(a, b) for a, b in zip(bits[0], others, strict=True) if a is not None and b is not None)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("steps", [(1, 3), (3, 1)], ids=str)
def test_a_static_input_can_be_added_to_one_whose_steps_differ(
    choose: Callable[[str], None], steps: tuple[int, int], layout: str
) -> None:
    draws = torch.Generator().manual_seed(3)
    shape = (2, 5, 4, 6)
    xs = [LAYOUTS[layout](torch.randn(T, *shape, generator=draws, dtype=torch.float64)) for T in steps]
    grad = torch.randn(3, *shape, generator=draws, dtype=torch.float64)
    found = []
    for which in ("loop", "compiled"):
        choose(which)
        leaves = [x.detach().clone(memory_format=torch.preserve_format).requires_grad_() for x in xs]
        norms = [TdBN(5).double(), TdBN(5).double()]
        terms = tuple(Term(x, norm) for x, norm in zip(leaves, norms, strict=True))
        LIF()(Current(terms, 3)).backward(grad)
        found.append([*(x.grad for x in leaves), *(p.grad for norm in norms for p in norm.parameters())])
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-11)


def test_inputs_of_different_types_are_summed_in_the_type_of_the_first(choose: Callable[[str], None]) -> None:
    choose("compiled")
    x, other = torch.full((2, 1, 40), 0.5), torch.full((2, 1, 40), 1.0, dtype=torch.float64)
    assert LIF()(Current((Term(x), Term(other)), 2)).eq(1).all()
