"""The health of each layer of neurons: whether it still fires, and still lets gradients through.

It is measured in a forward pass of the training, so that it costs almost nothing and norms use statistics of samples of
this pass. In an evaluation norms would use running statistics, which may be older than the weights.

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

# How many samples of the pass are measured. A layer that fires for none of them, epoch after epoch, is silent. The
# potentials of these samples are computed again, in time proportional to this number; `benchmarks.training.around`
# measures it.
NUM_SAMPLES = 4


@dataclass(frozen=True)
class LayerHealth:
    """The health of one layer of spiking neurons, on average over its neurons, samples and steps.

    Attributes:
        firing_rate: Spikes for each neuron and step, 0 to 1.
        gradient: The surrogate's derivative at the potentials, as a share of its largest value, 0 to 1: the part of a
            gradient that passes. At 0 the layers before this one learn nothing.
    """

    firing_rate: float
    gradient: float


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, LayerHealth]]:
    """Measure the health of every layer of spiking neurons in the first forward pass within this context.

    The measurement does not change a bit of the pass. Two kinds of layers are left out: those of ReLUs, and in
    training those after a norm of another package, since calling this norm again may change its statistics. The spikes
    are those of the pass. The potentials are computed again for the measured samples; there, norms use the statistics
    of these samples, so the potentials are only nearly those of the pass.

    Args:
        model: The network.

    Yields:
        The health of each layer by its name, in the order in which the layers run; filled when the context ends.
    """
    handles: dict[str, RemovableHandle] = {}
    seen: dict[str, _Seen] = {}
    healths: dict[str, LayerHealth] = {}

    def see(name: str, layer: LIF, args: tuple[Any, ...], spikes: Tensor) -> None:
        handles.pop(name).remove()
        current = args[0] if isinstance(args[0], Current) else Current.of(args[0])
        if not current.can_be_previewed:
            return
        # Copies: a view would keep the whole batch in memory, and the optimiser's next step changes tau and threshold.
        first, fired = current.first(NUM_SAMPLES).clone(), spikes[:, :NUM_SAMPLES].detach().clone()
        with torch.no_grad():
            seen[name] = _Seen(layer, first, fired, float(layer.tau), float(layer.v_threshold))

    for name, module in model.named_modules():
        if isinstance(module, LIF):
            handles[name] = module.register_forward_hook(partial(see, name))
    try:
        yield healths
    finally:
        for handle in handles.values():
            handle.remove()
    if seen:
        # Computed after the pass for all layers: between convolutions it takes twice as long and waits for the GPU.
        figures = torch.stack([figure for each in seen.values() for figure in each.figures()]).view(-1, 2).tolist()
        healths |= {name: LayerHealth(*pair) for name, pair in zip(seen, figures, strict=True)}


@cache
def _largest(surrogate: Surrogate) -> float:
    """Return a surrogate's largest derivative, which is at the threshold."""
    return float(surrogate.derivative(torch.zeros(1)))


@dataclass(frozen=True)
class _Seen:
    """The summed current of a layer, after the norms, and its spikes, `[T, B, *]`."""

    layer: LIF
    current: Tensor
    spikes: Tensor
    tau: float
    v_threshold: float

    @torch.no_grad()
    def figures(self) -> tuple[Tensor, Tensor]:
        """Return firing rate and gradient, the fields of `LayerHealth`, as scalars on the device."""
        derivatives = self.layer.surrogate.derivative(self._distances())
        shares = derivatives.mean(dtype=torch.float64) / _largest(self.layer.surrogate)  # type: ignore[arg-type]
        return self.spikes.mean(dtype=torch.float64), shares

    def _distances(self) -> Tensor:
        """Return the potentials' distances to the threshold, computed as in `lif_step` from the known spikes."""
        dtype = computing_dtype(self.current.dtype)
        current, spikes = self.current.to(dtype), self.spikes.to(dtype)
        tau, v_threshold = self.tau, self.v_threshold
        first, *later = current
        potentials = [first]
        # As few calls as possible: in a small network the calls take most of the time.
        if self.layer.reset == "hard":
            most = torch.finfo(dtype).max  # an infinite potential is reset to 0 too
            for step, unfired in zip(later, 1 - spikes, strict=False):
                potentials.append(torch.addcmul(step, potentials[-1].clamp(max=most), unfired, value=tau))
        else:
            for step, subtracted in zip(later, v_threshold * spikes, strict=False):
                potentials.append(torch.add(step, potentials[-1] - subtracted, alpha=tau))
        return torch.stack(potentials).sub_(v_threshold)
