"""The modules of networks (convolution with norm, block, pool, head), and the data and neurons a network is built for.

Shapes: T time steps, B batch, C channels, H and W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from tet_core import memory
from tet_core.config import NeuronConfig, NormConfig, SurrogateConfig
from tet_core.current import Current, Term
from tet_core.models.convolution import Conv2d
from tet_core.neuron import Neuron, build_neuron
from tet_core.norm import build_norm
from tet_core.static import each_step, is_static


@dataclass(frozen=True)
class Surroundings:
    """The conditions that a network is built for: shape of the data, number of steps, kind of neuron.

    Attributes:
        num_classes: K.
        in_channels: C.
        input_size: H = W of the input, in pixels.
        num_steps: T.
        neuron: The settings of the neurons.
        surrogate: The settings of the surrogate gradient.
    """

    num_classes: int
    in_channels: int
    input_size: int
    num_steps: int
    neuron: NeuronConfig
    surrogate: SurrogateConfig

    def new_neuron(self) -> Neuron:
        """Return a new layer of neurons."""
        return build_neuron(self.neuron, self.surrogate)

    def new_norm(self, config: NormConfig, num_channels: int) -> nn.Module:
        """Return a new norm for the input of a layer of neurons."""
        v_threshold = getattr(self.neuron, "v_threshold", 1.0)  # an ANN has no threshold: use the default
        return build_norm(config, num_channels, v_threshold=v_threshold, num_steps=self.num_steps)


class ConvNorm(nn.Module):
    """Convolution, padded by half its kernel, and norm over time and batch.

    `[T, B, C_in, H, W]` to `[T, B, C_out, H', W']`. `tet_core.fold` folds the norm into the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: nn.Module,
        *,
        kernel: int = 3,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=bias)
        self.norm = norm

    def current(self, x_TBCHW: Tensor) -> Current:
        """Return the neurons' input before the norm, together with the norm."""
        steps = x_TBCHW.shape[0]
        x = x_TBCHW[0] if is_static(x_TBCHW) else x_TBCHW.flatten(0, 1)
        y = self.conv(x)
        shape = (1 if is_static(x_TBCHW) else steps, x_TBCHW.shape[1], *y.shape[1:])
        recompute = memory.computed_again(self.conv, x)
        term = Term(y.view(shape), self.norm, recompute and (lambda: recompute().view(shape)))
        return Current((term,), steps)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return the neurons' input."""
        return self.current(x_TBCHW).tensor()


class Block(ConvNorm):
    """Convolution, norm, neuron: `[T, B, C_in, H, W]` to spikes `[T, B, C_out, H', W']`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: nn.Module,
        neuron: Neuron,
        *,
        kernel: int = 3,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, norm, kernel=kernel, stride=stride, bias=bias)
        self.lif = neuron

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return the spikes of the block."""
        out: Tensor = self.lif(self.current(x_TBCHW))
        return out


def pooled(x_TBCHW: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a pool for `[N, C, H, W]` to every step; for the backward pass its output can be computed again."""
    out = each_step(pool, x_TBCHW)
    memory.note_pool(out, x_TBCHW, lambda x: each_step(pool, x))
    return out


class Pool(nn.Module):
    """A pool over windows of `size` x `size` pixels (None: over all), at every step; an incomplete window is dropped.

    Args:
        size: Side of a window.
        mode: "avg", whose output is not binary, or "max", whose output is binary if its input is.
    """

    def __init__(self, size: int | None = 2, mode: str = "avg") -> None:
        super().__init__()
        self.size, self.mode = size, mode

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return `[T, B, C, H // size, W // size]`."""
        size = self.size or x_TBCHW.shape[-1]
        pool: Callable[..., Tensor] = functional.avg_pool2d if self.mode == "avg" else functional.max_pool2d
        return pooled(x_TBCHW, lambda x: pool(x, size))

    def extra_repr(self) -> str:
        """Return the window, for `print(model)`."""
        return f"{self.size or 'global'}, {self.mode}"


class LinearBlock(nn.Module):
    """Linear layer and neuron: `[T, B, *]`, flattened after B, to spikes `[T, B, features]`."""

    def __init__(self, in_features: int, features: int, neuron: Neuron) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, features)
        self.lif = neuron

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of the layer."""
        out: Tensor = self.lif(each_step(self.linear, x.flatten(2)))
        return out


class Network(nn.Module):
    """Layers in sequence, then the head: a linear layer without neurons.

    Args:
        features: The layers.
        num_features: How many numbers the last layer gives for a sample at a step.
        num_classes: K.
    """

    def __init__(self, features: list[nn.Module], num_features: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return outputs O `[T, B, K]`; a still image may be given as a view that repeats it (stride 0 over time)."""
        return each_step(self.head, self.features(x_TBCHW).flatten(2))
