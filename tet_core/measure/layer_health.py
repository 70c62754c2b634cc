"""Whether each layer of neurons still takes part in the computing, and in the learning.

It is looked at in a forward pass that is made anyway, so that it costs next to nothing: in training, where norms go by
the batch, and not in a test, where they go by running statistics that may lag behind what was learnt.

Shapes: T time steps, B batch, * any more axes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tet_core.current import Current
from tet_core.kernels.inputs import computing_dtype
from tet_core.neuron import LIF
from tet_core.surrogate import Surrogate

# So many samples of the pass tell enough: a layer that fires for none of them, epoch after epoch, is silent. What is
# looked at is computed once more, and so takes time in proportion; `benchmarks.training.around` says how much.
NUM_SAMPLES = 4


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


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, LayerHealth]]:
    """Within this context, the first forward pass tells how every layer of spiking neurons is on its first samples.

    No bit of the pass changes. Layers of ReLUs have no such thing. In training, norms are taken to go by the samples
    that are looked at, where they went by all of the batch: spikes are those of the pass, potentials nearly so.

    Args:
        model: The network.

    Yields:
        By the layer's name, in the order in which they run; filled once the context has ended.
    """
    handles: dict[str, RemovableHandle] = {}
    seen: dict[str, _Seen] = {}
    found: dict[str, LayerHealth] = {}

    def see(name: str, layer: LIF, args: tuple[Any, ...], spikes: Tensor) -> None:
        handles.pop(name).remove()
        current = args[0] if isinstance(args[0], Current) else Current.of(args[0])
        if not current.can_be_looked_at:
            return
        # Copies: a view would hold the whole batch, and the step to come changes what is learnt.
        first, fired = current.first(NUM_SAMPLES).clone(), spikes[:, :NUM_SAMPLES].detach().clone()
        with torch.no_grad():
            seen[name] = _Seen(layer, first, fired, float(layer.tau), float(layer.v_threshold))

    for name, module in model.named_modules():
        if isinstance(module, LIF):
            handles[name] = module.register_forward_hook(partial(see, name))
    try:
        yield found
    finally:
        for handle in handles.values():
            handle.remove()
    if seen:
        # Behind the pass, and all at once: in turns with convolutions it takes twice as long, and a GPU is waited for.
        figures = torch.stack([figure for each in seen.values() for figure in each.figures()]).view(-1, 2).tolist()
        found |= {name: LayerHealth(*pair) for name, pair in zip(seen, figures, strict=True)}


@cache
def _largest(surrogate: Surrogate) -> float:
    """A surrogate's largest derivative, which it has at the threshold."""
    return float(surrogate.derivative(torch.zeros(1)))


@dataclass(frozen=True)
class _Seen:
    """What a layer was fed with, and what it made of it, `[T, B, *]`."""

    layer: LIF
    current: Tensor
    spikes: Tensor
    tau: float
    v_threshold: float

    @torch.no_grad()
    def figures(self) -> tuple[Tensor, Tensor]:
        """The fields of its `LayerHealth`, on the device."""
        derivatives = self.layer.surrogate.derivative(self._distances())
        shares = derivatives.mean(dtype=torch.float64) / _largest(self.layer.surrogate)  # type: ignore[arg-type]
        return self.spikes.mean(dtype=torch.float64), shares

    def _distances(self) -> Tensor:
        """The potentials' distances to the threshold: computed once more, as in `lif_step`, with the known spikes."""
        dtype = computing_dtype(self.current.dtype)
        current, spikes = self.current.to(dtype), self.spikes.to(dtype)
        tau, v_threshold = self.tau, self.v_threshold
        first, *later = current
        potentials = [first]
        # As few calls as can be: of a small network these are what takes time.
        if self.layer.reset == "hard":
            for step, kept in zip(later, 1 - spikes, strict=False):
                potentials.append(torch.addcmul(step, potentials[-1], kept, value=tau))
        else:
            for step, taken in zip(later, v_threshold * spikes, strict=False):
                potentials.append(torch.add(step, potentials[-1] - taken, alpha=tau))
        return torch.stack(potentials).sub_(v_threshold)
