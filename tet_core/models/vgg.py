"""The VGG-like networks: blocks of convolution, norm and neuron, pools or strides between them, one linear head.

Source: Deng et al., ICLR 2022 (VGGSNN, for DVS-CIFAR10); vgg_small and cnn5 are ours, of the same kind.
"""

from torch import nn

from tet_core.config import Cnn5, NormConfig, VggSmall, VggSnn
from tet_core.models.building_blocks import Block, Network, Pool, Surroundings

# In a layout this number stands for a 2x2 average pool. Any other number is the output channels of a block.
POOL = 0


def vgg_small(config: VggSmall, surroundings: Surroundings) -> nn.Module:
    """Return a network of two blocks, pool, two blocks of twice the channels, pool, linear; PyTorch's default weights.

    The convolutions have no bias, because the norm after each convolution would remove it.
    """
    w = config.width
    return _vgg((w, w, POOL, 2 * w, 2 * w, POOL), config.norm, surroundings)


def cnn5(config: Cnn5, surroundings: Surroundings) -> nn.Module:
    """Return the five-layer network of Table 2: four blocks, pools after all but the first, linear; default weights.

    Deviation: the paper does not define the network. Ours doubles the channels from block to block, and has 1.63 M
    parameters at 32x32x3 and 10 classes.
    """
    w = config.width
    return _vgg((w, 2 * w, POOL, 4 * w, POOL, 8 * w, POOL), config.norm, surroundings)


def vggsnn(config: VggSnn, surroundings: Surroundings) -> nn.Module:
    """Return the paper's VGGSNN: convolutions with bias, Kaiming-normal weights by fan-out, as in the authors' code.

    It has 9.27 M parameters at 2 channels of 48x48 and 10 classes. With `downsample: stride`, strides replace pools.
    """
    w = config.width
    layout = (w, 2 * w, POOL, 4 * w, 4 * w, POOL, 8 * w, 8 * w, POOL, 8 * w, 8 * w, POOL)
    model = _vgg(layout, config.norm, surroundings, bias=True, strides=config.downsample == "stride")
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _vgg(
    layout: tuple[int, ...], norm: NormConfig, surroundings: Surroundings, *, bias: bool = False, strides: bool = False
) -> nn.Module:
    features: list[nn.Module] = []
    channels, size = surroundings.in_channels, surroundings.input_size
    for width, following in zip(layout, (*layout[1:], None), strict=True):
        if width == POOL:
            if not strides:
                features.append(Pool())
                size //= 2
            continue
        stride = 2 if strides and following == POOL else 1
        features.append(
            Block(
                channels, width, surroundings.new_norm(norm, width), surroundings.new_neuron(), stride=stride, bias=bias
            )
        )
        channels, size = width, (size - 1) // stride + 1
    return Network(features, channels * size * size, surroundings.num_classes)
