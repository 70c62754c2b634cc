"""The network of a stage: built with its seed's weights, and run in its precision.

Shapes: T time steps, B batch, C channels, H and W pixels, K classes.
"""

import torch
from torch import Tensor, nn

from tet_core import environment, seed
from tet_core.config import EntryPointModel, TrainConfig
from tet_core.errors import EntryPointError, errors_of_entry_point
from tet_core.models import build_model


def build_network(config: TrainConfig) -> nn.Module:
    """Build a stage's network with the initial weights of the stage's seed, on the stage's device.

    Returns:
        A module from `[T, B, C, H, W]` to `[T, B, K]`, with weights in float32, or float64 if that is the precision.

    Raises:
        ConfigError: If this machine lacks the device, or the model does not fit the data.
        EntryPointError: If the code behind an entry point fails, or returns no module.
    """
    card = config.dataset.card()
    fields = {name: getattr(config.model, name) for name in type(config.model).model_fields}
    # Weights are drawn in float32 on the CPU, so that neither device nor precision changes what a seed means.
    with seed.initial_weights(config.seed):
        model = build_model(
            **fields,
            num_classes=card.num_classes,
            in_channels=card.in_channels,
            input_size=card.input_size,
            num_steps=config.T,
            neuron=config.neuron,
            surrogate=config.surrogate,
        )
    # Channels-last is the layout that the convolutions of CPU and GPU work in: no conversion between layers.
    model = model.to(environment.device(config), environment.dtype(config))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def run_network(model: nn.Module, x_TBCHW: Tensor, config: TrainConfig) -> Tensor:
    """Run a stage's network in its precision.

    Args:
        model: The network.
        x_TBCHW: `[T, B, C, H, W]`, of the network's dtype, on its device.
        config: The stage.

    Returns:
        Outputs O, `[T, B, K]`.

    Raises:
        EntryPointError: If an entry point's network fails, or returns another shape.
    """
    with environment.autocast(config):
        if not isinstance(config.model, EntryPointModel):
            outputs: Tensor = model(x_TBCHW)
            return outputs
        name = config.model.entry_point
        with errors_of_entry_point(name):
            outputs = model(x_TBCHW)
    expected = (*x_TBCHW.shape[:2], config.dataset.card().num_classes)
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    if shape != expected:
        raise EntryPointError(f"entry_point {name!r} gave outputs {shape}; they must be [T, B, K], here {expected}")
    return outputs
