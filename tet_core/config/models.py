"""Settings of the models and their norms, and the input sizes that each model fits; loads no torch."""

from typing import Annotated, Literal, assert_never

from pydantic import Field

from tet_core.config.shared import Config

ENTRY_POINTS = "tet.models"


class Tdbn(Config):
    """Threshold-dependent batch normalisation over time and batch; weights start at alpha * v_threshold."""

    name: Literal["tdbn"] = "tdbn"
    alpha: float = Field(1.0, gt=0, le=1e3)


class Bn(Config):
    """Batch normalisation over time and batch; weights start at 1, whatever the threshold is."""

    name: Literal["bn"] = "bn"


class Tebn(Config):
    """Temporal effective batch normalisation: tdbn, times a learnt scale for each time step; scales start at 1."""

    name: Literal["tebn"] = "tebn"
    alpha: float = Field(1.0, gt=0, le=1e3)


NormConfig = Annotated[Tdbn | Bn | Tebn, Field(discriminator="name")]
Channels = Annotated[int, Field(ge=1, le=8192)]


class _Normed(Config):
    norm: NormConfig = Tdbn()


class VggSmall(_Normed):
    """Four convolutions and one linear layer, for inputs of 8x8 pixels or more."""

    name: Literal["vgg_small"] = "vgg_small"
    width: int = Field(
        32, ge=1, le=1024, description="Channels of the first two convolutions; the next two have twice as many."
    )


class VggSnn(_Normed):
    """The paper's VGGSNN for DVS-CIFAR10: eight convolutions, one linear layer."""

    name: Literal["vggsnn"] = "vggsnn"
    width: int = Field(64, ge=1, le=1024, description="Channels of the first convolution; the others in proportion.")
    downsample: Literal["pool", "stride"] = Field(
        "pool",
        description="'pool': four 2x2 average pools; 'stride': convolutions of stride 2 instead.",
    )


class Cnn5(_Normed):
    """The five-layer network of the ablation (Table 2): four convolutions, pools after all but the first, and a head.

    The paper does not say which five layers; these are our choice.
    """

    name: Literal["cnn5"] = "cnn5"
    width: int = Field(
        64, ge=1, le=1024, description="Channels of the first convolution; the others have 2, 4 and 8 times as many."
    )


class ResNet19(_Normed):
    """The paper's ResNet-19 for CIFAR."""

    name: Literal["resnet19"] = "resnet19"
    stem: Channels = Field(64, description="Channels of the first convolution; other implementations use 128.")
    width: int = Field(
        128, ge=1, le=1024, description="Channels of the first three blocks; the others have 2 and 4 times as many."
    )


class SpikingResNet34(_Normed):
    """Spiking-ResNet-34 for ImageNet: neurons after the additions."""

    name: Literal["spiking_resnet34"] = "spiking_resnet34"
    width: int = Field(64, ge=1, le=1024, description="Channels of the stem and the first blocks.")


class SewResNet34(_Normed):
    """SEW-ResNet-34 for ImageNet: spikes of block and shortcut are added."""

    name: Literal["sew_resnet34"] = "sew_resnet34"
    width: int = Field(64, ge=1, le=1024, description="Channels of the stem and the first blocks.")


class ConvLayer(Config):
    """A convolution without bias, then a norm and a neuron; padded so that stride 1 keeps the size."""

    kind: Literal["conv"]
    channels: Channels
    kernel: Literal[1, 3, 5, 7] = 3
    stride: int = Field(1, ge=1, le=8)


class PoolLayer(Config):
    """Pooling over windows of `size` x `size` pixels; `global` pools over all pixels."""

    kind: Literal["pool"]
    size: int | Literal["global"] = Field(2, description="Pixels from 2 to 64, or 'global'.")
    mode: Literal["avg", "max"] = "avg"


class ResidualLayer(Config):
    """Convolutions in parallel to a shortcut; the sum of both goes into the last neuron.

    The sum follows the last convolution's norm. If channels or size change, the shortcut is a 1x1 convolution with
    norm.
    """

    kind: Literal["residual"]
    layers: Annotated[tuple[ConvLayer, ...], Field(min_length=1, max_length=16)]


class LinearLayer(Config):
    """Linear layer and neuron, on the flattened input; only linear layers can follow."""

    kind: Literal["linear"]
    features: Annotated[int, Field(ge=1, le=65_536)]


LayerConfig = Annotated[ConvLayer | PoolLayer | ResidualLayer | LinearLayer, Field(discriminator="kind")]


class Layers(_Normed):
    """A network that the user lists layer by layer; the head, a linear layer to the classes, is added."""

    name: Literal["layers"] = "layers"
    layers: Annotated[tuple[LayerConfig, ...], Field(min_length=1, max_length=256)]


class EntryPointModel(Config):
    """A network from a Python package installed on the nodes, under the entry points `tet.models`."""

    name: Literal["entry_point"] = "entry_point"
    entry_point: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,79}$", description="Name of the entry point.")
    ]
    options: dict[str, str | int | float | bool] = Field(
        {}, description="Passed to the entry point's function as keyword arguments."
    )


ModelConfig = Annotated[
    VggSmall | VggSnn | Cnn5 | ResNet19 | SpikingResNet34 | SewResNet34 | Layers | EntryPointModel,
    Field(discriminator="name"),
]

# The smallest input side (pixels) of each model: at least one pixel is left after the last layer.
MIN_INPUT_SIZE = {
    "vgg_small": 8,
    "vggsnn": 16,
    "cnn5": 8,
    "resnet19": 4,
    "spiking_resnet34": 16,
    "sew_resnet34": 16,
}
MAX_POOL_SIZE = 64


def misfit(model: ModelConfig, input_size: int) -> str | None:
    """Return why a model does not fit inputs of `input_size` x `input_size` pixels; None if it fits.

    A model of an entry point always fits here: only the nodes know its limits.
    """
    if isinstance(model, Layers):
        return _misfit_of_layers(model.layers, input_size)
    least = MIN_INPUT_SIZE.get(model.name, 1)
    if input_size >= least:
        return None
    fitting = ", ".join(repr(name) for name, needed in MIN_INPUT_SIZE.items() if needed <= input_size)
    instead = f"; models for this size: {fitting}" if fitting else ""
    return f"{model.name!r} takes inputs of {least}x{least} pixels and more, not {input_size}x{input_size}{instead}"


def _misfit_of_layers(layers: tuple[LayerConfig, ...], size: int) -> str | None:
    flat = False
    for index, layer in enumerate(layers):
        if flat and not isinstance(layer, LinearLayer):
            return f"layers[{index}]: only linear layers can follow a linear layer, not {layer.kind!r}"
        if isinstance(layer, PoolLayer) and layer.size != "global":
            if not 2 <= layer.size <= MAX_POOL_SIZE:
                return f"layers[{index}].size: must be 2 to {MAX_POOL_SIZE} or 'global', not {layer.size}"
            if layer.size > size:
                return f"layers[{index}].size: a pool of {layer.size}x{layer.size} gets only {size}x{size} pixels"
        flat = isinstance(layer, LinearLayer)
        size = size_behind(layer, size)
    return None


def size_behind(layer: LayerConfig, size: int) -> int:
    """Return the side of a layer's output, in pixels, if its input has `size` x `size` pixels."""
    match layer:
        case ConvLayer():
            return (size - 1) // layer.stride + 1  # padded by half its kernel
        case PoolLayer():
            return 1 if layer.size == "global" else size // layer.size
        case ResidualLayer():
            for inner in layer.layers:
                size = size_behind(inner, size)
            return size
        case LinearLayer():
            return 1
        case unknown:
            assert_never(unknown)
