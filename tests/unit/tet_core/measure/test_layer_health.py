"""Tests of the health of layers, computed by hand and in a network."""

from typing import Any

import pytest
import torch

from tests.unit.tet_core.stages import make_config
from tet_core import environment
from tet_core.current import Current
from tet_core.data import load_dataset
from tet_core.measure.evaluation import measure
from tet_core.measure.layer_health import NUM_SAMPLES, LayerHealth, watched
from tet_core.network import build_network
from tet_core.neuron import LIF, lif_step
from tet_core.surrogate import Arctan, Exponential, Rectangular, SigmoidForward, Surrogate, Triangle


def look(layer: LIF, *current: float) -> LayerHealth:
    x = torch.tensor(current, dtype=torch.float64).view(-1, 1, 1)
    with watched(layer) as found:
        layer(Current.of(x))
    return found[""]


def test_the_share_of_the_gradient_by_hand() -> None:
    # u is 0.5, then 0.25 + 0.5 = 0.75, then 0.375 + 0.8 = 1.175, which fires; the triangle is 1 - |u - 1|.
    found = look(LIF(), 0.5, 0.5, 0.8)
    assert found.firing_rate == pytest.approx(1 / 3)
    assert found.gradient == pytest.approx((0.5 + 0.75 + 0.825) / 3)


@pytest.mark.parametrize("surrogate", [Triangle(0.5), Rectangular(2.0), Arctan(3.0)])
def test_at_the_threshold_the_whole_gradient_passes(surrogate: Surrogate) -> None:
    assert look(LIF(surrogate=surrogate), 1.0).gradient == pytest.approx(1.0)


def test_far_from_the_threshold_no_gradient_passes() -> None:
    assert look(LIF(), -50.0, -50.0) == LayerHealth(0.0, 0.0)
    assert look(LIF(), 50.0, 50.0) == LayerHealth(1.0, 0.0)


def test_every_spiking_layer_is_measured_and_not_changed() -> None:
    config = make_config(T=2)
    dataset = load_dataset(config.dataset)
    with environment.applied(config):
        model = build_network(config)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        expected = measure(model, dataset, dataset.test, config)
        with watched(model) as found:
            assert measure(model, dataset, dataset.test, config) == expected
    assert list(found) == [name for name, module in model.named_modules() if isinstance(module, LIF)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_network_of_rectifiers_has_no_layer_health() -> None:
    config = make_config(T=1, neuron={"name": "relu"})
    dataset = load_dataset(config.dataset)
    model = build_network(config)
    with environment.applied(config), watched(model) as found:
        measure(model, dataset, dataset.test, config)
    assert found == {}


def test_the_first_samples_of_the_first_pass_are_measured() -> None:
    config = make_config(T=2)
    dataset = load_dataset(config.dataset)
    with environment.applied(config):
        model = build_network(config)
        with watched(model) as of_all:
            measure(model, dataset, dataset.test, config)
        with watched(model) as of_some:
            measure(model, dataset, dataset.test.subset(torch.arange(NUM_SAMPLES)), config)
    for name, layer in of_all.items():
        assert layer.firing_rate == pytest.approx(of_some[name].firing_rate, rel=1e-3)
        assert layer.gradient == pytest.approx(of_some[name].gradient, rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"reset": "soft"}, {"learnable_tau": True}, {"learnable_threshold": True}])
@pytest.mark.parametrize("surrogate", [Triangle(), Exponential(2.0), SigmoidForward(3.0)])
@torch.no_grad()
def test_the_potentials_are_those_of_the_neurons(surrogate: Surrogate, options: dict[str, Any]) -> None:
    layer = LIF(0.7, 0.9, surrogate, **options)
    current = torch.randn(5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.4
    with watched(layer) as found:
        layer(current)
    v, shares, top = torch.zeros(2, 3, dtype=torch.float64), [], float(surrogate.derivative(torch.zeros(1)))
    for step in current:
        u = step + layer.tau * v
        shares.append(surrogate.derivative(u - layer.v_threshold) / top)
        v = lif_step(v, step, tau=layer.tau, v_threshold=layer.v_threshold, surrogate=surrogate, reset=layer.reset).v
    assert found[""].gradient == pytest.approx(float(torch.stack(shares).mean()), rel=1e-6)


def test_a_pass_that_fails_leaves_no_hooks() -> None:
    model = build_network(make_config(T=2))
    with pytest.raises(RuntimeError), watched(model):
        model(torch.zeros(2, 1, 3, 8, 8))
    assert not any(module._forward_hooks for module in model.modules())
