"""Networks of other packages: built by their entry point, and checked before they are trained and when they run.

Shapes: T time steps, B batch, C channels, H and W pixels, K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tet_core import entry_points
from tet_core.config import ENTRY_POINTS, EntryPointModel
from tet_core.errors import EntryPointError, errors_of_entry_point
from tet_core.finite import infinite_buffers, listed, not_finite
from tet_core.models.building_blocks import Surroundings


def from_entry_point(config: EntryPointModel, surroundings: Surroundings) -> nn.Module:
    """Call the function behind an entry point with everything that a network may depend on, and check the network.

    Raises:
        ConfigError: If no installed package offers the entry point.
        EntryPointError: If its code fails, or returns no module, or a module that cannot be trained.
    """
    model = entry_points.call_entry_point(
        ENTRY_POINTS,
        config.entry_point,
        config.options,
        num_classes=surroundings.num_classes,
        in_channels=surroundings.in_channels,
        input_size=surroundings.input_size,
        num_steps=surroundings.num_steps,
        new_neuron=surroundings.new_neuron,
        new_norm=surroundings.new_norm,
    )
    if not isinstance(model, nn.Module):
        raise EntryPointError(
            f"entry_point {config.entry_point!r} gave a {type(model).__name__}; it must be an nn.Module"
        )
    if (fault := _fault(model)) is not None:
        raise EntryPointError(f"entry_point {config.entry_point!r} gave a model {fault}")
    return model


def _fault(model: nn.Module) -> str | None:
    """Return why a network cannot be trained, as the rest of the sentence "gave a model …"; None if it can."""
    parameters = dict(model.named_parameters())
    if not parameters:
        return "without parameters, so there is nothing to train"
    for name, each in (*parameters.items(), *model.named_buffers()):
        if is_lazy(each):
            return f"whose {name} has no shape yet: run a lazy module once before you return it"
        if each.device.type == "meta":
            return f"whose {name} is on the device meta, without values: build it on the CPU"
    for name, each in parameters.items():
        if not each.is_floating_point():
            return f"whose parameter {name} is {each.dtype}; it must be floating point (or a buffer)"
    if not any(each.requires_grad for each in parameters.values()):
        return "none of whose parameters requires a gradient, so there is nothing to train"
    constants = infinite_buffers(model)
    tensors = {name: each for name, each in model.state_dict().items() if name not in constants}
    bad = not_finite(tensors)
    return f"that is not finite: {listed(bad, tensors)}" if bad else None


def check_outputs(outputs: object, name: str, x_TBCHW: Tensor, num_classes: int, *, trained: bool) -> Tensor:
    """Return the outputs of a network of another package after checking that a loss can be computed from them.

    Args:
        outputs: What the network gave.
        name: The entry point's name.
        x_TBCHW: Its input.
        num_classes: K.
        trained: Whether gradients are needed.

    Raises:
        EntryPointError: If they are not a tensor `[T, B, K]` of floating point numbers on the input's device, or, if
            needed, have no gradient.
    """
    expected = (*x_TBCHW.shape[:2], num_classes)
    found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    if not isinstance(outputs, Tensor) or found != expected:
        hint = _hint(outputs, expected)
        raise EntryPointError(
            f"entry_point {name!r} gave outputs {found}; they must be [T, B, K], here {expected}{hint}"
        )
    if not outputs.is_floating_point():
        raise EntryPointError(
            f"entry_point {name!r} gave outputs of {outputs.dtype}; they must be floating point, one for each class"
        )
    if outputs.device != x_TBCHW.device:
        raise EntryPointError(
            f"entry_point {name!r} gave outputs on {outputs.device}; they must be on {x_TBCHW.device}, as the input is"
        )
    if trained and not outputs.requires_grad:
        raise EntryPointError(
            f"entry_point {name!r} gave outputs without a gradient, so nothing can be trained: the forward pass must "
            "not detach them, nor run under torch.no_grad()"
        )
    return outputs


def _hint(outputs: object, expected: tuple[int, ...]) -> str:
    """Return what to do about outputs of a wrong kind or shape; empty if there is nothing to say."""
    if isinstance(outputs, tuple | list | dict):
        return ": return this tensor alone (torch.stack joins one tensor for each step)"
    if not isinstance(outputs, Tensor):
        return ""
    steps, batch, classes = expected
    if outputs.shape in ((batch, steps, classes), (batch, classes, steps)):
        return ": the axis of time must be the first"
    if outputs.shape == (batch, classes):
        return ": give the outputs of every step, because the loss takes the mean over time itself"
    return ""


@contextmanager
def errors_of_training(name: str, model: nn.Module) -> Iterator[None]:
    """Raise an error of a network's forward or backward pass as an `EntryPointError`; see `errors_of_entry_point`.

    Args:
        name: The entry point's name.
        model: The network.

    Raises:
        EntryPointError: As for `errors_of_entry_point`. The message tells if the network keeps state between batches.
    """
    with errors_of_entry_point(name):
        try:
            yield
        except RuntimeError as error:
            # `vars` has a module's attributes and buffers; it has parameters too, but they lead into no graph.
            if not any(_leads_into_a_graph(vars(module)) for module in model.modules()):
                raise
            raise EntryPointError(
                f"entry_point {name!r} keeps state from one batch to the next, so the gradient leads into an earlier "
                f"batch: reset the state at the start of forward, or detach() it ({type(error).__name__}: {error})"
            ) from error


def _leads_into_a_graph(value: object) -> bool:
    """Return whether a value is, or holds, a tensor that a gradient would pass through."""
    if isinstance(value, Tensor):
        return value.grad_fn is not None
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list | tuple) and any(_leads_into_a_graph(each) for each in value)
