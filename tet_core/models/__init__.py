"""Spiking networks, built by name: `[T, B, C, H, W]` in, outputs `[T, B, K]` out.

Every model's parameters are registered in the order of the forward pass.
"""

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from tet_core.config import (
    EntryPointModel,
    LifConfig,
    ModelConfig,
    NeuronConfig,
    SurrogateConfig,
    TriangleConfig,
    misfit,
)
from tet_core.errors import ConfigError
from tet_core.models import layer_list, resnet, vgg
from tet_core.models.building_blocks import Surroundings
from tet_core.models.from_entry_point import from_entry_point

_CONFIG: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
_BUILDERS: dict[str, Callable[[Any, Surroundings], nn.Module]] = {
    "vgg_small": vgg.vgg_small,
    "vggsnn": vgg.vggsnn,
    "cnn5": vgg.cnn5,
    "resnet19": resnet.resnet19,
    "spiking_resnet34": resnet.spiking_resnet34,
    "sew_resnet34": resnet.sew_resnet34,
    "layers": layer_list.layers,
}


def build_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    input_size: int,
    num_steps: int = 1,
    neuron: NeuronConfig | None = None,
    surrogate: SurrogateConfig | None = None,
    **fields: Any,
) -> nn.Module:
    """Build a network with fresh weights from torch's global generator.

    Args:
        name: The model's name in `tet_core.config`: "vgg_small", "vggsnn", "resnet19", …
        num_classes: K, number of classes.
        in_channels: C, channels of the input.
        input_size: H = W, side of the input in pixels.
        num_steps: T of the training; only TEBN depends on it, because it learns a scale for each step.
        neuron: The neuron's constants; the paper's by default.
        surrogate: The surrogate gradient; the paper's by default.
        **fields: The model's own fields, as in `tet_core.config` (`width`, `norm`).

    Returns:
        A module from `[T, B, C, H, W]` to outputs `[T, B, K]`; the prediction is argmax of their mean over time.

    Raises:
        ConfigError: If the model does not fit the input, or no installed package offers the entry point.
        pydantic.ValidationError: If the name or a field is not known or out of range.
        EntryPointError: If the code behind an entry point fails, or returns no module that can be trained.

    Example:
        >>> model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=32)
    """
    config = _CONFIG.validate_python({"name": name, **fields})
    for field, value in (("num_classes", num_classes), ("in_channels", in_channels), ("input_size", input_size)):
        if value < 1:
            raise ConfigError(field, value, f"for {name} it must be at least 1")
    if (fault := misfit(config, input_size)) is not None:
        raise ConfigError("input_size", input_size, fault)
    surroundings = Surroundings(
        num_classes, in_channels, input_size, num_steps, neuron or LifConfig(), surrogate or TriangleConfig()
    )
    if isinstance(config, EntryPointModel):
        return from_entry_point(config, surroundings)
    return _BUILDERS[name](config, surroundings)
