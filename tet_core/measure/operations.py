"""Counts of a network's operations: of its convolutions and linear layers, and of their inputs.

An operation is one weight applied to one input. If the input is 1, the operation is an addition. If the input
is 0, hardware that is driven by events does nothing. Positions in the padding count like any other.

Shapes: T time steps, B batch, C channels, H and W pixels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tet_core.neuron import Neuron

LAYERS = (nn.Conv2d, nn.Linear)


@dataclass
class LayerTally:
    """The counts of one convolution or linear layer.

    Attributes:
        name: As in `model.named_modules()`.
        kind: "conv" or "linear".
        is_stem: Whether it ran before any neuron: its inputs are pixels, so it multiplies.
        operations: Number of operations for one image at one step.
        passes: Images times steps that the layer ran for; a still image repeated T times counts once in the stem.
        num_inputs: How many numbers its inputs had.
        num_nonzero: How many of them were not 0.
        is_binary: Whether every input was 0 or 1, so that the layer only added.
    """

    name: str
    kind: str
    is_stem: bool = False
    operations: int = 0
    passes: int = 0
    num_inputs: int = 0
    num_nonzero: int = 0
    is_binary: bool = True

    @property
    def input_rate(self) -> float:
        """The share of inputs that are not 0."""
        return self.num_nonzero / self.num_inputs if self.num_inputs else 0.0


@dataclass
class NeuronTally:
    """How often the neurons of one layer fired: `spikes` (their sum) out of `num_outputs`."""

    name: str
    spikes: float = 0.0
    num_outputs: int = 0

    @property
    def firing_rate(self) -> float:
        """Spikes for each neuron and step."""
        return self.spikes / self.num_outputs if self.num_outputs else 0.0


@dataclass
class Tallies:
    """The counts of `tallied`, layer by layer in the order in which they first ran."""

    layers: list[LayerTally] = field(default_factory=list)
    neurons: list[NeuronTally] = field(default_factory=list)
    # Whether a neuron ran in the current forward pass: layers before the first one are the stem.
    _neuron_ran: bool = False

    def _begin(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._neuron_ran = False

    def _layer(self, tally: LayerTally, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        x: Tensor = args[0]
        weight = module.weight
        assert isinstance(weight, Tensor)
        rows = x.shape[0] if x.ndim == 4 else x.numel() // x.shape[-1]
        if tally.passes == 0:
            tally.is_stem = not self._neuron_ran
            tally.operations = output.numel() // rows * weight[0].numel()
            self.layers.append(tally)
        tally.passes += rows
        tally.num_inputs += x.numel()
        tally.num_nonzero += int(torch.count_nonzero(x))
        tally.is_binary = tally.is_binary and bool(((x == 0) | (x == 1)).all())

    def _neuron(self, tally: NeuronTally, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self._neuron_ran = True
        if tally.num_outputs == 0:
            self.neurons.append(tally)
        tally.spikes += float(output.sum(dtype=torch.float64))
        tally.num_outputs += output.numel()


@contextmanager
def tallied(model: nn.Module) -> Iterator[Tallies]:
    """Count every forward pass of a model within this context; afterwards the model is as before.

    Args:
        model: A network whose neurons are those of this package, `[T, B, C, H, W]` to `[T, B, K]`.
    """
    tallies = Tallies()
    handles = [model.register_forward_pre_hook(tallies._begin)]
    for name, module in model.named_modules():
        if isinstance(module, LAYERS):
            tally = LayerTally(name, "conv" if isinstance(module, nn.Conv2d) else "linear")
            handles.append(module.register_forward_hook(partial(tallies._layer, tally)))
        elif isinstance(module, Neuron):
            handles.append(module.register_forward_hook(partial(tallies._neuron, NeuronTally(name))))
    try:
        yield tallies
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Operations:
    """The operations of one step of one image, by layer, if every neuron fires.

    Attributes:
        layers: Name and operations of every layer, in the order in which they ran.
        stem: Names of the layers whose inputs are pixels.
    """

    layers: dict[str, int]
    stem: tuple[str, ...]

    @property
    def multiplications(self) -> int:
        """Operations of the stem, which multiplies in any case."""
        return sum(self.layers[name] for name in self.stem)

    @property
    def synaptic(self) -> int:
        """Operations of all other layers, if every neuron fires."""
        return sum(self.layers.values()) - self.multiplications


@torch.no_grad()
def count_operations(model: nn.Module, input_shape: Sequence[int]) -> Operations:
    """Count the operations of every convolution and linear layer at one step of one image.

    Args:
        model: The network, which runs once in evaluation mode and then returns to its mode.
        input_shape: `(C, H, W)`.

    Returns:
        Operations by layer, and the names of the stem's layers.

    Raises:
        ValueError: If `input_shape` is not three numbers from 1 up.

    Example:
        >>> from tet_core import build_model
        >>> model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=4)
        >>> count_operations(model, (1, 8, 8)).multiplications  # 3 * 3 * 1 weights, 4 * 8 * 8 outputs
        2304
    """
    if len(input_shape) != 3 or any(size < 1 for size in input_shape):
        raise ValueError(f"input_shape is {tuple(input_shape)}; it must be (C, H, W), each from 1 up")
    like = next(model.parameters(), torch.empty(0))
    training = model.training
    model.eval()
    try:
        with tallied(model) as tallies:
            model(torch.zeros((1, 1, *input_shape), dtype=like.dtype, device=like.device))
    finally:
        model.train(training)
    layers = {tally.name: tally.operations for tally in tallies.layers}
    return Operations(layers, tuple(tally.name for tally in tallies.layers if tally.is_stem))
