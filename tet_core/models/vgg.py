"""The VGG-like networks: blocks of convolution, norm and neuron, average pools between them, one linear head.

Shapes: T time steps, B batch, C channels, H and W pixels, K classes.

Source: Deng et al., ICLR 2022 (VGGSNN, for DVS-CIFAR10); vgg_small is ours, of the same make.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from tet_core.config import NeuronConfig, SurrogateConfig, Tdbn, VggSmall, VggSnn
from tet_core.neuron import LIF
from tet_core.norm import TdBN
from tet_core.static import each_step
from tet_core.surrogate import build_surrogate

# In a layout: a 2x2 average pool. Any other number is the output channels of a block.
POOL = 0


class Block(nn.Module):
    """3x3 convolution, norm over time and batch, neuron: `[T, B, C_in, H, W]` to spikes `[T, B, C_out, H, W]`."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool, norm: nn.Module, lif: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
        self.norm = norm
        self.lif = lif

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Spikes of the block."""
        out: Tensor = self.lif(self.norm(each_step(self.conv, x_TBCHW)))
        return out


class Pool(nn.Module):
    """2x2 average pool of every step; an odd last row or column is dropped."""

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """`[T, B, C, H, W]` to `[T, B, C, H // 2, W // 2]`."""
        return each_step(lambda x: functional.avg_pool2d(x, 2), x_TBCHW)


class Vgg(nn.Module):
    """Blocks and pools in a row, then the head: a linear layer with no leak and no firing.

    Args:
        features: The blocks and pools.
        num_features: C * H * W where the features end.
        num_classes: K.
    """

    def __init__(self, features: list[nn.Module], num_features: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """`[T, B, C, H, W]` to outputs O `[T, B, K]`; one image repeated T times may come as a view of stride 0."""
        out: Tensor = self.head(self.features(x_TBCHW).flatten(2))
        return out


@dataclass(frozen=True)
class Surroundings:
    """What a network is built for: the data's shape and the kind of neuron."""

    num_classes: int
    in_channels: int
    input_size: int
    neuron: NeuronConfig
    surrogate: SurrogateConfig


def vgg_small(config: VggSmall, surroundings: Surroundings) -> nn.Module:
    """Two blocks, pool, two blocks of twice the channels, pool, linear; PyTorch's default weights.

    The convolutions have no bias: the norm behind each would take it away again.
    """
    w = config.width
    return _vgg((w, w, POOL, 2 * w, 2 * w, POOL), config.norm, surroundings, bias=False)


def vggsnn(config: VggSnn, surroundings: Surroundings) -> nn.Module:
    """The paper's VGGSNN; convolutions with bias, Kaiming-normal weights by fan-out, as in the authors' code.

    9.27 M parameters at 2 channels of 48x48 and 10 classes.
    """
    layout = (64, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL)
    model = _vgg(layout, config.norm, surroundings, bias=True)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _vgg(layout: tuple[int, ...], norm: Tdbn, surroundings: Surroundings, *, bias: bool) -> nn.Module:
    features: list[nn.Module] = []
    neuron = surroundings.neuron
    channels, size = surroundings.in_channels, surroundings.input_size
    for width in layout:
        if width == POOL:
            features.append(Pool())
            size //= 2
        else:
            tdbn = TdBN(width, v_threshold=neuron.v_threshold, alpha=norm.alpha)
            lif = LIF(neuron.tau, neuron.v_threshold, build_surrogate(surroundings.surrogate))
            features.append(Block(channels, width, bias=bias, norm=tdbn, lif=lif))
            channels = width
    return Vgg(features, channels * size * size, surroundings.num_classes)
