"""Tests of surrogates: each agrees with its formula and has the area 1; the triangle agrees with Eq. 5."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import integrate

from tests.surrogates import ONE_OF_EACH
from tests.unions import members
from tet_core.config import (
    ArctanConfig,
    ExponentialConfig,
    RectangularConfig,
    SigmoidForwardConfig,
    SurrogateConfig,
    TriangleConfig,
)
from tet_core.errors import ConfigError
from tet_core.neuron import build_surrogate
from tet_core.surrogate import (
    Arctan,
    Exponential,
    Rectangular,
    SigmoidForward,
    Surrogate,
    Triangle,
    spike,
)

GAMMA = 0.6
FORMULAS: list[tuple[Surrogate, Callable[[float], float]]] = [
    (Triangle(GAMMA), lambda x: max(0.0, GAMMA - abs(x)) / GAMMA**2),
    (Rectangular(GAMMA), lambda x: (abs(x) < GAMMA) / (2 * GAMMA)),
    (Exponential(GAMMA), lambda x: math.exp(-abs(x) / GAMMA) / (2 * GAMMA)),
    (Arctan(GAMMA), lambda x: 1 / (math.pi * GAMMA * (1 + (x / GAMMA) ** 2))),
    (SigmoidForward(4.0), lambda x: 4.0 * math.exp(-4.0 * x) / (1 + math.exp(-4.0 * x)) ** 2),
]
IDS = [type(surrogate).__name__ for surrogate, _ in FORMULAS]


def test_every_surrogate_has_its_formula() -> None:
    assert [type(surrogate) for surrogate, _ in FORMULAS] == [type(surrogate) for surrogate in ONE_OF_EACH]


@pytest.mark.parametrize(("surrogate", "formula"), FORMULAS, ids=IDS)
def test_a_surrogate_equals_its_formula(surrogate: Surrogate, formula: Callable[[float], float]) -> None:
    x = torch.linspace(-3, 3, 601, dtype=torch.float64) + 1e-4
    expected = torch.tensor([formula(value) for value in x.tolist()], dtype=torch.float64)
    before = x.clone()
    torch.testing.assert_close(surrogate.derivative(x), expected, rtol=1e-12, atol=1e-15)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("surrogate", "formula"), FORMULAS, ids=IDS)
def test_the_area_under_a_surrogate_is_1(surrogate: Surrogate, formula: Callable[[float], float]) -> None:
    def at(x: float) -> float:
        return float(surrogate.derivative(torch.tensor([x], dtype=torch.float64)))

    if isinstance(surrogate, Arctan):  # its tails are heavy: the area within 1e4 widths is 2/pi * arctan(1e4)
        area = integrate.quad(at, -1e4 * GAMMA, 1e4 * GAMMA, points=[0.0], limit=500)[0]
        assert area == pytest.approx(2 / math.pi * math.atan(1e4), rel=1e-6)
    else:
        area = integrate.quad(at, -25, 25, points=[-GAMMA, 0.0, GAMMA], limit=500)[0]
        assert area == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("k", [1.0, 10.0, 20.0])
def test_the_sigmoid_forward_gives_the_sigmoid_with_its_true_gradient(k: float) -> None:
    u = torch.linspace(-1, 3, 41, dtype=torch.float64, requires_grad=True)
    a = spike(u, 1.0, SigmoidForward(k))
    torch.testing.assert_close(a, torch.sigmoid(k * (u - 1.0)))
    assert torch.autograd.gradcheck(lambda x: spike(x, 1.0, SigmoidForward(k)), u)


def test_a_config_names_a_surrogate() -> None:
    configs: list[tuple[SurrogateConfig, Surrogate]] = [
        (TriangleConfig(gamma=2), Triangle(2)),
        (RectangularConfig(gamma=2), Rectangular(2)),
        (ExponentialConfig(gamma=2), Exponential(2)),
        (ArctanConfig(gamma=2), Arctan(2)),
        (SigmoidForwardConfig(k=2), SigmoidForward(2)),
    ]
    assert [type(config) for config, _ in configs] == [*members(SurrogateConfig)]
    for config, expected in configs:
        assert build_surrogate(config) == expected


@pytest.mark.parametrize("kind", [type(surrogate) for surrogate in ONE_OF_EACH])
def test_a_width_that_is_not_above_0_is_named(kind: type) -> None:
    with pytest.raises(ConfigError, match=r"(gamma|k) is 0; it must be above 0"):
        kind(0)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_triangle_is_eq_5(gamma: float) -> None:
    u = torch.linspace(-3, 5, 801, dtype=torch.float64)
    expected = (1 / gamma**2) * torch.clamp(gamma - (u - 1).abs(), min=0)
    torch.testing.assert_close(Triangle(gamma).derivative(u - 1), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_area_under_the_triangle_is_one(gamma: float) -> None:
    x = torch.linspace(-4, 4, 80_001, dtype=torch.float64)
    assert float(torch.trapezoid(Triangle(gamma).derivative(x), x)) == pytest.approx(1, abs=1e-6)


def test_the_gradient_of_a_spike_is_the_surrogate() -> None:
    u = torch.tensor([-1.0, 0.5, 1.0, 1.25, 2.5], dtype=torch.float64, requires_grad=True)
    a = spike(u, 1.0, Triangle())
    torch.autograd.backward(a.sum())
    assert a.tolist() == [0, 0, 0, 1, 1]
    assert u.grad is not None
    assert u.grad.tolist() == [0, 0.5, 1, 0.75, 0]


def test_a_surrogate_does_not_change_its_argument() -> None:
    x = torch.tensor([0.25, -0.25])
    Triangle(2.0).derivative(x)
    assert x.tolist() == [0.25, -0.25]


def test_gamma_must_be_above_zero() -> None:
    with pytest.raises(ConfigError, match=r"gamma is 0\.0; it must be above 0"):
        Triangle(0.0)
