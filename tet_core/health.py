"""Whether each layer of neurons still takes part in the computing, and in the learning.

Shapes: T time steps, B batch, * any more axes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tet_core import environment
from tet_core.config import TrainConfig
from tet_core.current import Current
from tet_core.data import Dataset, Samples
from tet_core.data.loader import in_order
from tet_core.kernels.inputs import computing_dtype
from tet_core.neuron import LIF, lif_step

# So many samples tell enough, and take no time beside an epoch.
NUM_SAMPLES = 32


@dataclass(frozen=True)
class LayerHealth:
    """What one layer of spiking neurons did, on average over its neurons, samples and steps.

    Attributes:
        firing_rate: Spikes for each neuron and step, 0 to 1.
        gradient: The surrogate's derivative at the potentials, as a share of its largest value, 0 to 1: how much of a
            gradient comes through. At 0 the layers in front of it learn nothing.
    """

    firing_rate: float
    gradient: float


@torch.no_grad()
def layers_health(model: nn.Module, dataset: Dataset, split: Samples, config: TrainConfig) -> dict[str, LayerHealth]:
    """Look at every layer of spiking neurons on the first samples of a split; layers of ReLUs have no such thing.

    Args:
        model: The network; it is left in evaluation mode.
        dataset: For the normalisation.
        split: What to look at, on the model's device.
        config: T and the precision.

    Returns:
        By the layer's name, in the order in which they run.
    """
    model.eval()
    images, _ = next(iter(in_order(dataset, split, batch_size=NUM_SAMPLES, dtype=environment.dtype(config))))
    found: dict[str, LayerHealth] = {}
    with environment.autocast(config), _watched(model, found):
        model(dataset.to_input(images, config.T))
    return found


@contextmanager
def _watched(model: nn.Module, found: dict[str, LayerHealth]) -> Iterator[None]:
    spiking = [(name, module) for name, module in model.named_modules() if isinstance(module, LIF)]
    handles = [module.register_forward_hook(partial(_look, found, name)) for name, module in spiking]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _look(found: dict[str, LayerHealth], name: str, layer: LIF, args: tuple[Any, ...], spikes: Tensor) -> None:
    current = args[0].tensor() if isinstance(args[0], Current) else args[0]
    found[name] = LayerHealth(float(spikes.mean(dtype=torch.float64)), _let_through(layer, current))


def _let_through(layer: LIF, current: Tensor) -> float:
    """The mean of the surrogate's derivative over the potentials, by its largest value, which it has at 0."""
    current = current.to(computing_dtype(current.dtype))
    v, total = torch.zeros_like(current[0]), 0.0
    for step in current:
        u = step + layer.tau * v
        total += float(layer.surrogate.derivative(u - layer.v_threshold).mean(dtype=torch.float64))
        _, v = lif_step(
            v, step, tau=layer.tau, v_threshold=layer.v_threshold, surrogate=layer.surrogate, reset=layer.reset
        )
    return total / len(current) / float(layer.surrogate.derivative(torch.zeros(1)))
