"""The surrogate gradient against its formula."""

import pytest
import torch

from tet_core.errors import ConfigError
from tet_core.surrogate import Triangle, spike


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_triangle_is_eq_5(gamma: float) -> None:
    u = torch.linspace(-3, 5, 801, dtype=torch.float64)
    expected = (1 / gamma**2) * torch.clamp(gamma - (u - 1).abs(), min=0)
    torch.testing.assert_close(Triangle(gamma).derivative(u - 1), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_area_under_the_triangle_is_one(gamma: float) -> None:
    x = torch.linspace(-4, 4, 80_001, dtype=torch.float64)
    assert float(torch.trapezoid(Triangle(gamma).derivative(x), x)) == pytest.approx(1, abs=1e-6)


def test_a_spike_has_the_surrogate_for_a_gradient() -> None:
    u = torch.tensor([-1.0, 0.5, 1.0, 1.25, 2.5], dtype=torch.float64, requires_grad=True)
    a = spike(u, 1.0, Triangle())
    torch.autograd.backward(a.sum())
    assert a.tolist() == [0, 0, 0, 1, 1]
    assert u.grad is not None
    assert u.grad.tolist() == [0, 0.5, 1, 0.75, 0]


def test_it_leaves_its_argument_alone() -> None:
    x = torch.tensor([0.25, -0.25])
    Triangle(2.0).derivative(x)
    assert x.tolist() == [0.25, -0.25]


def test_gamma_must_be_above_zero() -> None:
    with pytest.raises(ConfigError, match=r"gamma is 0\.0; it must be above 0"):
        Triangle(0.0)
