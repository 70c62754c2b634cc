"""Spiking networks, built by name: `[T, B, C, H, W]` in, outputs `[T, B, K]` out.

Every model's parameters are registered in the order of the forward pass.
"""

from typing import Any

from pydantic import TypeAdapter
from torch import nn

from tet_core.config import MIN_INPUT_SIZE, ModelConfig, NeuronConfig, SurrogateConfig, VggSmall, VggSnn
from tet_core.models.vgg import Surroundings, vgg_small, vggsnn

_CONFIG: TypeAdapter[VggSmall | VggSnn] = TypeAdapter(ModelConfig)


def build_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    input_size: int,
    neuron: NeuronConfig | None = None,
    surrogate: SurrogateConfig | None = None,
    **fields: Any,
) -> nn.Module:
    """Build a network with fresh weights from torch's global generator.

    Args:
        name: "vgg_small" or "vggsnn".
        num_classes: K, classes to tell apart.
        in_channels: C, channels of the input.
        input_size: H = W, side of the input in pixels.
        neuron: The neuron's constants; the paper's by default.
        surrogate: The surrogate gradient; the paper's by default.
        **fields: The model's own fields, as in `tet_core.config` (`width`, `norm`).

    Returns:
        A module from `[T, B, C, H, W]` to outputs `[T, B, K]`; the prediction is argmax of their mean over time.

    Raises:
        ValueError: If the name or a field is not known or out of range, or `input_size` is too small for the model.

    Example:
        >>> model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=32)
    """
    config = _CONFIG.validate_python({"name": name, **fields})
    for field, value, least in (
        ("num_classes", num_classes, 1),
        ("in_channels", in_channels, 1),
        ("input_size", input_size, MIN_INPUT_SIZE[name]),
    ):
        if value < least:
            raise ValueError(f"{field} is {value}; {name} takes {least} and more")
    surroundings = Surroundings(
        num_classes, in_channels, input_size, neuron or NeuronConfig(), surrogate or SurrogateConfig()
    )
    if isinstance(config, VggSmall):
        return vgg_small(config, surroundings)
    return vggsnn(config, surroundings)
