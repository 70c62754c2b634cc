"""Batch normalisation over time and batch."""

import pytest
import torch
from torch import nn

from tet_core.norm import TdBN
from tet_core.static import repeat_over_time


def test_statistics_run_over_time_and_batch() -> None:
    x = torch.randn(3, 4, 2, 5, 5, dtype=torch.float64) * 3 + 1
    norm = TdBN(2).double()
    y = norm(x)
    mean, var = x.mean((0, 1, 3, 4)), x.var((0, 1, 3, 4), correction=0)
    expected = (x - mean.view(2, 1, 1)) / (var.view(2, 1, 1) + 1e-5).sqrt()
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean, rtol=1e-12, atol=1e-12)
    unbiased = x.var((0, 1, 3, 4), correction=1)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * unbiased, rtol=1e-12, atol=1e-12)


def test_tdbn_is_torchs_batchnorm_with_time_and_batch_as_one_axis() -> None:
    x = torch.randn(3, 4, 2, 5, 5)
    ours, torchs = TdBN(2), nn.BatchNorm2d(2)
    for _ in range(3):
        assert torch.equal(ours(x).flatten(0, 1), torchs(x.flatten(0, 1)))
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    assert torch.equal(ours.eval()(x).flatten(0, 1), ours(x).flatten(0, 1))
    torch.testing.assert_close(ours(x).flatten(0, 1), torchs.eval()(x.flatten(0, 1)))


@pytest.mark.parametrize(("alpha", "v_threshold"), [(1.0, 1.0), (0.5, 1.0), (0.5, 3.0)])
def test_the_weight_starts_at_alpha_times_the_threshold(alpha: float, v_threshold: float) -> None:
    norm = TdBN(4, alpha=alpha, v_threshold=v_threshold)
    assert norm.weight.tolist() == [alpha * v_threshold] * 4
    assert norm.bias.tolist() == [0] * 4
    y = norm(torch.randn(4, 64, 4, 8, 8) * 7 - 2)
    torch.testing.assert_close(y.std((0, 1, 3, 4)), torch.full((4,), alpha * v_threshold), rtol=1e-3, atol=0)


def test_one_step_repeated_over_time_gives_the_same_results_as_copies_of_it() -> None:
    image = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    weight = torch.randn(5, 3, 2, 4, 4, dtype=torch.float64)
    outcomes = []
    for still in (True, False):
        x, norm = image.clone().requires_grad_(), TdBN(2).double()
        y = norm(repeat_over_time(x, 5) if still else torch.stack([x] * 5))
        (y * weight).sum().backward()
        assert x.grad is not None
        assert norm.weight.grad is not None
        outcomes.append((y.detach(), x.grad, norm.weight.grad, norm.running_mean, norm.running_var))
    for once, copies in zip(*outcomes, strict=True):
        torch.testing.assert_close(once, copies, rtol=1e-12, atol=1e-12)
