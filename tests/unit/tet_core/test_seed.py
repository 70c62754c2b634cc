"""Tests of random draws: they depend only on seed, purpose and epoch."""

import torch

from tet_core import seed


def draws(*key: int | str) -> list[int]:
    return torch.randint(0, 2**31, (8,), generator=seed.generator(*key)).tolist()  # type: ignore[arg-type]


def test_equal_keys_give_equal_draws_and_others_do_not() -> None:
    assert draws(0, "order", 1) == draws(0, "order", 1)
    keys = [(0, "order", 1), (1, "order", 1), (0, "augment", 1), (0, "order", 2), (0, "order", 11)]
    assert len({tuple(draws(*key)) for key in keys}) == len(keys)


def test_keys_never_change() -> None:
    # The first eight bytes of SHA-256("0/order/1"), signed: a change here would change every result.
    assert seed.draw_key(0, "order", 1) == 8978914615671679097


def test_initial_weights_do_not_change_the_global_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with seed.initial_weights(0):
        first = torch.rand(4)
    assert torch.equal(torch.rand(4), expected)
    with seed.initial_weights(0):
        assert torch.equal(torch.rand(4), first)
    with seed.initial_weights(1):
        assert not torch.equal(torch.rand(4), first)
