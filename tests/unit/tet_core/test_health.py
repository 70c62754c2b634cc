"""How layers are, by hand and in a network."""

import pytest
import torch

from tests.unit.tet_core.stages import make_config
from tet_core import environment, health
from tet_core.current import Current
from tet_core.data import load_dataset
from tet_core.evaluation import build
from tet_core.health import LayerHealth, layers_health
from tet_core.neuron import LIF
from tet_core.surrogate import Arctan, Rectangular, Surrogate, Triangle


def look(layer: LIF, *current: float) -> LayerHealth:
    found: dict[str, LayerHealth] = {}
    x = torch.tensor(current, dtype=torch.float64).view(-1, 1, 1)
    layer.register_forward_hook(lambda module, args, out: health._look(found, "it", layer, args, out))
    layer(Current.of(x))
    return found["it"]


def test_the_share_of_the_gradient_by_hand() -> None:
    # u is 0.5, then 0.25 + 0.5 = 0.75, then 0.375 + 0.8 = 1.175, which fires; the triangle is 1 - |u - 1|.
    found = look(LIF(), 0.5, 0.5, 0.8)
    assert found.firing_rate == pytest.approx(1 / 3)
    assert found.gradient == pytest.approx((0.5 + 0.75 + 0.825) / 3)


@pytest.mark.parametrize("surrogate", [Triangle(0.5), Rectangular(2.0), Arctan(3.0)])
def test_at_the_threshold_all_of_it_comes_through(surrogate: Surrogate) -> None:
    assert look(LIF(surrogate=surrogate), 1.0).gradient == pytest.approx(1.0)


def test_far_from_the_threshold_nothing_does() -> None:
    assert look(LIF(), -50.0, -50.0) == LayerHealth(0.0, 0.0)
    assert look(LIF(), 50.0, 50.0) == LayerHealth(1.0, 0.0)


def test_every_spiking_layer_of_a_network_is_looked_at_and_left_as_it_was() -> None:
    config = make_config(T=2)
    dataset = load_dataset(config.dataset)
    with environment.applied(config):
        model = build(config)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        found = layers_health(model, dataset, dataset.test, config)
    assert list(found) == [name for name, module in model.named_modules() if isinstance(module, LIF)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_network_of_rectifiers_has_nothing_to_tell() -> None:
    config = make_config(T=1, neuron={"name": "relu"})
    dataset = load_dataset(config.dataset)
    with environment.applied(config):
        assert layers_health(build(config), dataset, dataset.test, config) == {}
