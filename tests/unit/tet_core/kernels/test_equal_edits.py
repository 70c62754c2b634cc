"""Tests of edits of the kernels' text that change no bit of a result, so a stage from before them can continue."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.compiler import needs_gcc
from tests.surrogates import IN_KERNELS
from tet_core import kernels
from tet_core.current import Current
from tet_core.kernels import VARIABLE
from tet_core.kernels.native import EQUAL_EDITS, FOLDER, SOURCES, recorded_texts
from tet_core.neuron import LIF
from tet_core.norm import TdBN

# SHA-256 of the texts of version 0.1.0. Later texts have the same fingerprint as long as `EQUAL_EDITS` has all of
# their edits.
TEXTS = {
    "lif.c": "6f0c21f7cc869906d57abe5e4309b63efc12a90b1a3470713f44cf3c0bdf0887",
    "lif_typed.h": "bc6cfa2f71bfeb474829a27528f97f93f927da986413f861c3b5341d4dbbf9f8",
}
# What `digest` returns with the kernels that gcc 12 compiles from the texts of version 0.1.0.
RESULTS = "07884276475aadf76447d495b96f9e186db8c6a8ba61eae300057418428b06f9"


@pytest.fixture
def _compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, "compiled")
    kernels.in_use.cache_clear()
    yield
    kernels.in_use.cache_clear()


def test_with_all_equal_edits_undone_the_texts_are_those_of_the_record() -> None:
    texts = recorded_texts()
    assert {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()} == TEXTS


def test_every_equal_edit_has_a_reason_and_is_in_a_source() -> None:
    assert all(edit.reason and edit.source in SOURCES for edit in EQUAL_EDITS)
    assert recorded_texts() != {name: (Path(FOLDER) / name).read_text() for name in SOURCES}


@needs_gcc
@pytest.mark.usefixtures("_compiled")
def test_finite_inputs_give_the_bits_of_the_recorded_texts() -> None:
    assert digest() == RESULTS


def digest() -> str:
    """Return the SHA-256 of all outcomes: for each surrogate, reset and type, with a norm and without."""
    sha = hashlib.sha256()
    for number, (dtype, surrogate, is_hard, detached, with_norm) in enumerate(
        (dtype, surrogate, is_hard, detached, with_norm)
        for dtype in (torch.float32, torch.float64, torch.bfloat16)
        for surrogate in IN_KERNELS
        for is_hard in (True, False)
        for detached in (False, True)
        for with_norm in (False, True)
    ):
        layer = LIF(0.6, 0.9, surrogate, reset="hard" if is_hard else "soft", detach_reset=detached)
        for tensor in outcome(number, dtype, layer, with_norm):
            sha.update(tensor.detach().contiguous().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def outcome(number: int, dtype: torch.dtype, layer: LIF, with_norm: bool) -> tuple[Any, ...]:
    draws = torch.Generator().manual_seed(number)

    def drawn(*shape: int, low: float, high: float) -> Tensor:
        # The draws are uniform, because the bits of normal draws may depend on the processor's instruction set.
        return torch.rand(shape, generator=draws, dtype=torch.float64).mul_(high - low).add_(low)

    x = drawn(4, 3, 7, 5, 5, low=-2, high=3).to(dtype).requires_grad_()
    norm = TdBN(7)
    if dtype == torch.float64:
        norm.double()
    norm.weight.data.copy_(drawn(7, low=0.5, high=1.5))
    norm.bias.data.copy_(drawn(7, low=-0.5, high=0.5))
    spikes = layer(Current.of(x, norm) if with_norm else x)
    spikes.backward(drawn(4, 3, 7, 5, 5, low=-1, high=1).to(dtype))
    of_norm = (norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var) if with_norm else ()
    return (spikes, x.grad, *of_norm)
