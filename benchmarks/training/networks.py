"""The paper's two networks, written once for all idioms.

An idiom is the way in which a library runs layers over time.

Shapes: T time steps, B batch, C channels, H and W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

VGG_LAYOUT = (64, 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")
RESNET19_GROUPS = ((128, 3, 1), (256, 3, 2), (512, 2, 2))  # channels, blocks, stride of the first block
NUM_CLASSES = 10


@dataclass(frozen=True)
class Idiom:
    """The modules by which a library writes a network.

    Attributes:
        neuron: Makes a layer of neurons.
        stateless: Wraps layers for `[N, *]` so that they take the same input as the neurons.
    """

    neuron: Callable[[], nn.Module]
    stateless: Callable[..., nn.Module]


def vggsnn(idiom: Idiom) -> nn.Module:
    """Return VGGSNN for 2 channels of 48x48."""
    layers: list[nn.Module] = []
    channels = 2
    for width in VGG_LAYOUT:
        if isinstance(width, str):
            layers.append(idiom.stateless(nn.AvgPool2d(2)))
            continue
        layers += [_conv_norm(idiom, channels, width, bias=True), idiom.neuron()]
        channels = width
    return nn.Sequential(*layers, idiom.stateless(nn.Flatten(), nn.Linear(channels * 3 * 3, NUM_CLASSES)))


def resnet19(idiom: Idiom) -> nn.Module:
    """Return ResNet-19 for 3 channels of 32x32."""
    layers: list[nn.Module] = [_conv_norm(idiom, 3, 64), idiom.neuron()]
    channels = 64
    for width, blocks, stride in RESNET19_GROUPS:
        for index in range(blocks):
            layers.append(Residual(idiom, channels, width, stride if index == 0 else 1))
            channels = width
    layers += [idiom.stateless(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 256)), idiom.neuron()]
    return nn.Sequential(*layers, idiom.stateless(nn.Linear(256, NUM_CLASSES)))


class Residual(nn.Module):
    """Two convolutions in parallel to a shortcut, with the neurons after the addition."""

    def __init__(self, idiom: Idiom, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _conv_norm(idiom, channels, width, stride=stride), idiom.neuron(), _conv_norm(idiom, width, width)
        )
        changes = channels != width or stride != 1
        self.projection = _conv_norm(idiom, channels, width, kernel=1, stride=stride) if changes else nn.Identity()
        self.neuron = idiom.neuron()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.neuron(self.convolutions(x) + self.projection(x))
        return out


def _conv_norm(
    idiom: Idiom, channels: int, width: int, *, kernel: int = 3, stride: int = 1, bias: bool = False
) -> nn.Module:
    conv = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=bias)
    return idiom.stateless(conv, nn.BatchNorm2d(width))


NETWORKS = {"vggsnn": vggsnn, "resnet19": resnet19}
INPUTS = {"vggsnn": (2, 48, 48), "resnet19": (3, 32, 32)}
