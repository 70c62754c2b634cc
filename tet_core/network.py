"""The network of a stage: built with its seed's weights, and run in its precision.

Shapes: T time steps, B batch, C channels, H and W pixels, K classes.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from tet_core import environment, seed
from tet_core.config import EntryPointModel, TrainConfig
from tet_core.models import build_model
from tet_core.models.from_entry_point import check_outputs, errors_of_training


def build_network(config: TrainConfig) -> nn.Module:
    """Build a stage's network with the initial weights of the stage's seed, on the stage's device.

    Returns:
        A module from `[T, B, C, H, W]` to `[T, B, K]`, with weights in float32, or float64 if that is the precision.

    Raises:
        ConfigError: If this machine lacks the device, or the model does not fit the data.
        EntryPointError: If the code behind an entry point fails, or returns no module that can be trained.
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
    # Channels-last is the layout that the convolutions of CPU and GPU work in, so nothing is converted.
    with errors_of_model(config, model):
        model = model.to(environment.device(config), environment.dtype(config))
        model.apply(_to_channels_last)
    return model


def _to_channels_last(module: nn.Module) -> None:
    """Change the layout of a module's own tensors of four axes; `nn.Module.to` refuses those of five (Conv3d)."""
    for each in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        if each.ndim == 4:
            each.data = each.data.to(memory_format=torch.channels_last)


def errors_of_model(config: TrainConfig, model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which errors of an entry point's network become its author's; else one that does nothing."""
    if isinstance(config.model, EntryPointModel):
        return errors_of_training(config.model.entry_point, model)
    return nullcontext()


def run_network(model: nn.Module, x_TBCHW: Tensor, config: TrainConfig) -> Tensor:
    """Run a stage's network in its precision.

    Args:
        model: The network.
        x_TBCHW: `[T, B, C, H, W]`, of the network's dtype, on its device.
        config: The stage.

    Returns:
        Outputs O, `[T, B, K]`.

    Raises:
        EntryPointError: If an entry point's network fails, or returns something else.
    """
    with environment.autocast(config):
        if not isinstance(config.model, EntryPointModel):
            outputs: Tensor = model(x_TBCHW)
            return outputs
        name = config.model.entry_point
        with errors_of_training(name, model):
            outputs = model(x_TBCHW)
    trained = model.training and torch.is_grad_enabled()
    return check_outputs(outputs, name, x_TBCHW, config.dataset.card().num_classes, trained=trained)
