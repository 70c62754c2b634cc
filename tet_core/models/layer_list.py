"""A network built from the list of layers in its config."""

from typing import assert_never

from torch import nn

from tet_core.config import ConvLayer, LayerConfig, Layers, LinearLayer, PoolLayer, ResidualLayer, size_behind
from tet_core.models.building_blocks import Block, LinearBlock, Network, Pool, Surroundings
from tet_core.models.resnet import ResidualBlock


def layers(config: Layers, surroundings: Surroundings) -> nn.Module:
    """Return a network of the listed layers and the head, with PyTorch's default weights; convolutions have no bias."""
    features: list[nn.Module] = []
    channels, size = surroundings.in_channels, surroundings.input_size
    for layer in config.layers:
        module, channels = _layer(layer, channels, size, config, surroundings)
        features.append(module)
        size = size_behind(layer, size)
    return Network(features, channels * size * size, surroundings.num_classes)


def _layer(
    layer: LayerConfig, channels: int, size: int, config: Layers, surroundings: Surroundings
) -> tuple[nn.Module, int]:
    """Return a layer, and the number of channels of its output."""
    match layer:
        case PoolLayer():
            return Pool(None if layer.size == "global" else layer.size, layer.mode), channels
        case ConvLayer():
            norm = surroundings.new_norm(config.norm, layer.channels)
            neuron = surroundings.new_neuron()
            block = Block(channels, layer.channels, norm, neuron, kernel=layer.kernel, stride=layer.stride)
            return block, layer.channels
        case ResidualLayer():
            convolutions = [(inner.channels, inner.kernel, inner.stride) for inner in layer.layers]
            return ResidualBlock(channels, convolutions, config.norm, surroundings), convolutions[-1][0]
        case LinearLayer():
            return LinearBlock(channels * size * size, layer.features, surroundings.new_neuron()), layer.features
        case unknown:
            assert_never(unknown)
