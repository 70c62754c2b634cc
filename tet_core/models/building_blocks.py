"""What the networks are made of: convolution with norm, blocks, pools, and what they are built for.

Shapes: T time steps, B batch, C channels, H and W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from tet_core import memory
from tet_core.config import NeuronConfig, NormConfig, SurrogateConfig
from tet_core.current import Current, Term
from tet_core.neuron import Neuron, build_neuron
from tet_core.norm import build_norm
from tet_core.static import each_step, is_static


@dataclass(frozen=True)
class Surroundings:
    """What a network is built for: the data's shape, how many steps it is trained at, and the kind of neuron."""

    num_classes: int
    in_channels: int
    input_size: int
    num_steps: int
    neuron: NeuronConfig
    surrogate: SurrogateConfig

    def new_neuron(self) -> Neuron:
        """A fresh layer of neurons."""
        return build_neuron(self.neuron, self.surrogate)

    def new_norm(self, config: NormConfig, num_channels: int) -> nn.Module:
        """A fresh norm in front of such a layer."""
        v_threshold = getattr(self.neuron, "v_threshold", 1.0)  # an ANN starts as the network with the default one
        return build_norm(config, num_channels, v_threshold=v_threshold, num_steps=self.num_steps)


class ConvNorm(nn.Module):
    """Convolution, padded by half its kernel, and norm over time and batch.

    `[T, B, C_in, H, W]` to `[T, B, C_out, H', W']`; what folding a norm into its convolution looks for.
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
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=bias)
        self.norm = norm

    def current(self, x_TBCHW: Tensor) -> Current:
        """The neurons' input, its norm still to come."""
        steps = x_TBCHW.shape[0]
        x = x_TBCHW[0] if is_static(x_TBCHW) else x_TBCHW.flatten(0, 1)
        y = self.conv(x)
        shape = (1 if is_static(x_TBCHW) else steps, x_TBCHW.shape[1], *y.shape[1:])
        again = memory.computed_again(self.conv, x)
        term = Term(y.view(shape), self.norm, again and (lambda: again().view(shape)))
        return Current((term,), steps)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """The neurons' input."""
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
        """Spikes of the block."""
        out: Tensor = self.lif(self.current(x_TBCHW))
        return out


def pooled(x_TBCHW: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a pool for `[N, C, H, W]` to every step, so that it can be done again in place of being kept."""
    out = each_step(pool, x_TBCHW)
    memory.note_pool(out, x_TBCHW, lambda x: each_step(pool, x))
    return out


class Pool(nn.Module):
    """Pool every step over windows of `size` x `size` pixels (None: over all); a last row that is short is dropped.

    Args:
        size: Side of a window.
        mode: "avg", whose output is not binary, or "max", whose output is.
    """

    def __init__(self, size: int | None = 2, mode: str = "avg") -> None:
        super().__init__()
        self.size, self.mode = size, mode

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """`[T, B, C, H, W]` to `[T, B, C, H // size, W // size]`."""
        size = self.size or x_TBCHW.shape[-1]
        pool: Callable[..., Tensor] = functional.avg_pool2d if self.mode == "avg" else functional.max_pool2d
        return pooled(x_TBCHW, lambda x: pool(x, size))

    def extra_repr(self) -> str:
        """The window, for `print(model)`."""
        return f"{self.size or 'global'}, {self.mode}"


class LinearBlock(nn.Module):
    """Linear layer and neuron: `[T, B, *]`, flattened behind B, to spikes `[T, B, features]`."""

    def __init__(self, in_features: int, features: int, neuron: Neuron) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, features)
        self.lif = neuron

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of the layer."""
        out: Tensor = self.lif(each_step(self.linear, x.flatten(2)))
        return out


class Network(nn.Module):
    """Layers in a row, then the head: a linear layer with no leak and no firing.

    Args:
        features: The layers.
        num_features: Numbers a sample and step where they end.
        num_classes: K.
    """

    def __init__(self, features: list[nn.Module], num_features: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """`[T, B, C, H, W]` to outputs O `[T, B, K]`; one image repeated T times may come as a view of stride 0."""
        return each_step(self.head, self.features(x_TBCHW).flatten(2))
