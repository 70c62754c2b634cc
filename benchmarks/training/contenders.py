"""The contenders: ours, the floor (ReLUs instead of neurons), other libraries, and a plain loop over time.

All get the same frames, the same loss and the same fused Adam, in float32 or in autocast to bfloat16.

Shapes: T time steps, B batch, C channels, H and W pixels, K classes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import snntorch
import torch
from snntorch import utils as snntorch_utils
from spikingjelly.activation_based import functional, layer, memopt, neuron, surrogate
from torch import Tensor, nn

from benchmarks.training.networks import INPUTS, NETWORKS, NUM_CLASSES, Idiom
from tet_core import build_model, memory, tet_loss
from tet_core.config import Memory
from tet_core.surrogate import Triangle, spike

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
MEMORY: tuple[Memory, ...] = ("fast", "balanced", "least")
OURS, FLOOR, SPIKINGJELLY, LOOP = "ours", "floor", "SpikingJelly", "plain loop"


@dataclass(frozen=True)
class Contender:
    """One way to run a network.

    Attributes:
        name: The name in the tables.
        make: Builds the network: `[T, B, C, H, W]` to `[T, B, K]`.
        level: The memory level of `tet_core`, used by its own networks alone.
        channels_last: Whether the weights are channels-last in memory.
    """

    name: str
    make: Callable[[str], nn.Module]
    level: Memory = "fast"
    channels_last: bool = True


class OverSteps(nn.Module):
    """A network for `[N, C, H, W]`, applied to `[T, B, C, H, W]`, all steps at once."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x.flatten(0, 1))
        return y.view(*x.shape[:2], -1)


class StepByStep(nn.Module):
    """A network of snnTorch, whose neurons keep their state, run one step after the other."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._neurons = [module for module in network.modules() if isinstance(module, snntorch.SpikingNeuron)]

    def forward(self, x: Tensor) -> Tensor:
        # `reset` resets every neuron in `instances`. By default these are the neurons of all networks of the process.
        snntorch.SpikingNeuron.instances = self._neurons
        snntorch_utils.reset(self.network)
        return torch.stack([self.network(step) for step in x])


class WithReset(nn.Module):
    """A network of SpikingJelly, whose neurons are reset before every batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self.network)
        y: Tensor = self.network(x)
        return y


class Folded(nn.Sequential):
    """Layers for `[N, *]`, applied to `[T, B, *]`, all steps at once."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(0, 1)
        for module in self:
            y = module(y)
        return y.view(*x.shape[:2], *y.shape[1:])


class LoopNeuron(nn.Module):
    """The neuron of the TET paper (Deng et al., ICLR 2022), Eq. 1 to 3 as written; autograd computes its gradient."""

    def forward(self, current: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(current[0]), []
        for step in current:
            u = 0.5 * v + step
            a = spike(u, 1.0, Triangle())
            v = u * (1 - a)
            spikes.append(a)
        return torch.stack(spikes)


def _spikingjelly_neuron() -> nn.Module:
    node: nn.Module = neuron.LIFNode(
        tau=2.0,
        decay_input=False,
        v_reset=0.0,
        detach_reset=False,
        step_mode="m",
        surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),
    )
    return node


def _snntorch_neuron() -> nn.Module:
    node: nn.Module = snntorch.Leaky(beta=0.5, threshold=1.0, reset_mechanism="zero", init_hidden=True)
    return node


def _ours(name: str) -> nn.Module:
    channels, size, _ = INPUTS[name]
    return build_model(name, num_classes=NUM_CLASSES, in_channels=channels, input_size=size)


def _floor(name: str) -> nn.Module:
    return OverSteps(NETWORKS[name](Idiom(nn.ReLU, nn.Sequential)))


def _spikingjelly(name: str) -> nn.Module:
    return WithReset(NETWORKS[name](Idiom(_spikingjelly_neuron, layer.SeqToANNContainer)))


def _spikingjelly_checkpointed(name: str) -> nn.Module:
    """Return a network with level 1 of SpikingJelly's memory optimisation, the only level that works on CPUs."""
    network = _spikingjelly(name)
    frames = torch.rand(2, 2, *INPUTS[name])
    out: nn.Module = memopt.optimize_memory(
        network, (layer.SeqToANNContainer, neuron.LIFNode), lambda model: model(frames), level=1
    )
    return out


def _snntorch(name: str) -> nn.Module:
    return StepByStep(NETWORKS[name](Idiom(_snntorch_neuron, nn.Sequential)))


def _loop(name: str) -> nn.Module:
    return NETWORKS[name](Idiom(LoopNeuron, Folded))


CONTENDERS = (
    *(Contender(f"{OURS}, {level}", _ours, level) for level in MEMORY),
    Contender(FLOOR, _floor),
    Contender(f"{FLOOR}, contiguous", _floor, channels_last=False),
    Contender(SPIKINGJELLY, _spikingjelly, channels_last=False),
    Contender(f"{SPIKINGJELLY}, channels-last", _spikingjelly),
    Contender(f"{SPIKINGJELLY}, memory level 1", _spikingjelly_checkpointed, channels_last=False),
    Contender("snnTorch", _snntorch, channels_last=False),
    Contender(LOOP, _loop, channels_last=False),
)


class Trained:
    """A contender that trains one network in one precision."""

    def __init__(self, contender: Contender, network: str, precision: str) -> None:
        torch.manual_seed(0)
        self.contender, self.precision = contender, precision
        self.model = contender.make(network)
        if contender.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)

    def loss(self, frames: Tensor, labels: Tensor) -> Tensor:
        """Run the forward pass of a step, and return the loss."""
        with memory.kept(self.contender.level), self._autocast():
            outputs: Tensor = self.model(frames)
        return tet_loss(outputs.float(), labels)

    def step(self, frames: Tensor, labels: Tensor) -> None:
        """Run one training step."""
        loss = self.loss(frames, labels)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        dtype = PRECISIONS[self.precision]
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            yield


def batch(network: str, T: int, size: int) -> tuple[Tensor, Tensor]:
    """Return frames `[T, B, C, H, W]`, all different, and labels `[B]`."""
    generator = torch.Generator().manual_seed(T)
    frames = torch.randn(T, size, *INPUTS[network], generator=generator)
    return frames, torch.randint(NUM_CLASSES, (size,), generator=generator)
