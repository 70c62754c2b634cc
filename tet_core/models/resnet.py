"""The residual networks.

Shapes: T time steps, B batch, C channels, H and W pixels.

Source: ResNet-19 of Zheng et al., AAAI 2021 (arXiv:2011.05280) in the form of Deng et al., ICLR 2022; ResNet-34 of
He et al., CVPR 2016; its spike-element-wise form of Fang et al., NeurIPS 2021 (arXiv:2102.04159).
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from tet_core.config import NormConfig, ResNet19, SewResNet34, SpikingResNet34
from tet_core.current import Current
from tet_core.models.building_blocks import Block, ConvNorm, LinearBlock, Network, Pool, Surroundings, pooled

RESNET34_BLOCKS = (3, 4, 6, 3)


class ResidualBlock(nn.Module):
    """Convolutions in parallel to a shortcut; the sum of both goes into the last neuron.

    The shortcut is the input itself or, if channels or size change, a 1x1 convolution with norm and no neuron.

    Args:
        in_channels: C of the input.
        convolutions: (channels, kernel, stride) of each convolution.
        norm: The settings of the norms.
        surroundings: The conditions that the network is built for.
    """

    def __init__(
        self,
        in_channels: int,
        convolutions: Sequence[tuple[int, int, int]],
        norm: NormConfig,
        surroundings: Surroundings,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels, total_stride = in_channels, 1
        for index, (width, kernel, stride) in enumerate(convolutions, 1):
            block_norm = surroundings.new_norm(norm, width)
            if index < len(convolutions):
                neuron = surroundings.new_neuron()
                blocks.append(Block(channels, width, block_norm, neuron, kernel=kernel, stride=stride))
            else:
                blocks.append(ConvNorm(channels, width, block_norm, kernel=kernel, stride=stride))
            channels, total_stride = width, total_stride * stride
        self.convolutions = nn.Sequential(*blocks)
        self.projection: ConvNorm | None = None
        if channels != in_channels or total_stride != 1:
            shortcut_norm = surroundings.new_norm(norm, channels)
            self.projection = ConvNorm(in_channels, channels, shortcut_norm, kernel=1, stride=total_stride)
        self.lif = surroundings.new_neuron()

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return spikes `[T, B, C_out, H', W']` of `[T, B, C_in, H, W]`."""
        *blocks, last = self.convolutions
        assert isinstance(last, ConvNorm)
        y = x_TBCHW
        for block in blocks:
            y = block(y)
        residual = last.current(y)
        shortcut = Current.of(x_TBCHW) if self.projection is None else self.projection.current(x_TBCHW)
        out: Tensor = self.lif(residual + shortcut)
        return out


class SewBlock(nn.Module):
    """Two blocks in parallel to a shortcut; *spikes* are added: `y = spikes(x) + shortcut(x)` (ADD of the SEW paper).

    The output counts spikes, so it is not binary. The shortcut is the input itself or, if channels or size change, a
    1x1 convolution with norm and neuron.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, norm: NormConfig, surroundings: Surroundings
    ) -> None:
        super().__init__()

        def block(c_in: int, kernel: int, s: int) -> Block:
            block_norm = surroundings.new_norm(norm, channels)
            return Block(c_in, channels, block_norm, surroundings.new_neuron(), kernel=kernel, stride=s)

        self.convolutions = nn.Sequential(block(in_channels, 3, stride), block(channels, 3, 1))
        changes = channels != in_channels or stride != 1
        self.projection: nn.Module | None = block(in_channels, 1, stride) if changes else None

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return sums of spikes `[T, B, C_out, H', W']` of `[T, B, C_in, H, W]`."""
        y: Tensor = self.convolutions(x_TBCHW)
        return y + (x_TBCHW if self.projection is None else self.projection(x_TBCHW))


class StemPool(nn.Module):
    """3x3 max pool of stride 2, padded by 1; its output is binary if its input is."""

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return `[T, B, C, H, W]` pooled to half the size, rounded up."""
        return pooled(x_TBCHW, lambda x: functional.max_pool2d(x, 3, 2, 1))


def resnet19(config: ResNet19, surroundings: Surroundings) -> nn.Module:
    """Return the paper's ResNet-19: 12,630,858 parameters at 10 classes.

    The network has a 3x3 stem, 3 blocks of `width` channels, 3 of twice as many, 2 of four times as many (the last two
    groups start with stride 2), a global average pool, a linear layer with neurons, and the head. Convolutions have no
    bias; neurons follow the additions; weights are PyTorch's default.
    """
    w = config.width
    norm = config.norm
    stem = Block(
        surroundings.in_channels, config.stem, surroundings.new_norm(norm, config.stem), surroundings.new_neuron()
    )
    features: list[nn.Module] = [stem]
    channels = config.stem
    for width, blocks, stride in ((w, 3, 1), (2 * w, 3, 2), (4 * w, 2, 2)):
        for index in range(blocks):
            convolutions = ((width, 3, stride if index == 0 else 1), (width, 3, 1))
            features.append(ResidualBlock(channels, convolutions, norm, surroundings))
            channels = width
    features += [Pool(None), LinearBlock(channels, channels // 2, surroundings.new_neuron())]
    return Network(features, channels // 2, surroundings.num_classes)


def spiking_resnet34(config: SpikingResNet34, surroundings: Surroundings) -> nn.Module:
    """Return ResNet-34 with neurons instead of rectifiers: 21,797,672 parameters at 3 channels and 1,000 classes."""

    def block(c_in: int, channels: int, stride: int) -> nn.Module:
        return ResidualBlock(c_in, ((channels, 3, stride), (channels, 3, 1)), config.norm, surroundings)

    return _resnet34(config, surroundings, block)


def sew_resnet34(config: SewResNet34, surroundings: Surroundings) -> nn.Module:
    """Return SEW-ResNet-34 with element-wise ADD; it has as many parameters as `spiking_resnet34`.

    The SEW paper uses IF neurons; here the neuron is the spec's, as for every model (`neuron: {name: if}`).
    """
    return _resnet34(config, surroundings, partial(_sew_block, config.norm, surroundings))


def _sew_block(norm: NormConfig, surroundings: Surroundings, c_in: int, channels: int, stride: int) -> nn.Module:
    return SewBlock(c_in, channels, stride, norm, surroundings)


def _resnet34(config: SpikingResNet34 | SewResNet34, surroundings: Surroundings, block: object) -> nn.Module:
    assert callable(block)
    w = config.width
    stem_norm = surroundings.new_norm(config.norm, w)
    features: list[nn.Module] = [
        Block(surroundings.in_channels, w, stem_norm, surroundings.new_neuron(), kernel=7, stride=2),
        StemPool(),
    ]
    channels = w
    for group, blocks in enumerate(RESNET34_BLOCKS):
        for index in range(blocks):
            width = w * 2**group
            features.append(block(channels, width, 2 if group and index == 0 else 1))
            channels = width
    features.append(Pool(None))
    return Network(features, channels, surroundings.num_classes)
