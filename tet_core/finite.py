"""The check that the tensors of a network, a checkpoint or a data set are finite.

A spike hides what is not a number: `NaN > threshold` is false. So layers stop firing while the loss stays finite.
Therefore the tensors themselves are checked: the data when it is loaded or taken, weights and the optimiser's state
after every epoch, and the checkpoint that a stage starts from.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def not_finite(tensors: Mapping[str, Any]) -> list[str]:
    """Return the names of the tensors that hold a NaN or an infinity, in their order.

    Args:
        tensors: Tensors by name; values that are not tensors, and tensors of integers, are left out.
    """
    floating = {
        name: each.detach() for name, each in tensors.items() if isinstance(each, Tensor) and each.is_floating_point()
    }
    if not floating:
        return []
    # One pass over memory: no sum with a NaN or an infinity is finite. Finite numbers may add up to an infinity, so
    # only the tensors with such sums are looked at closely. The CPU waits for a GPU once for each device.
    sums = [each.sum(dtype=_summing(each.dtype)) for each in floating.values()]
    by_device = {device: [each for each in sums if each.device == device] for device in {each.device for each in sums}}
    if all(bool(torch.stack([each.double() for each in on_one]).isfinite().all()) for on_one in by_device.values()):
        return []
    return [name for name, each in floating.items() if not bool(each.isfinite().all())]


def _summing(dtype: torch.dtype) -> torch.dtype:
    """Return the type to add numbers of a type in: float16 would overflow at once."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def description(name: str, tensor: Tensor) -> str:
    """Return what is not finite in a tensor, for people: "head.weight holds nan in 3 of 40 values"."""
    values = tensor.detach()[~tensor.isfinite()]
    return f"{name} holds {float(values[0])} in {len(values)} of {tensor.numel()} values"


def infinite_buffers(model: nn.Module) -> set[str]:
    """Return the names of a new network's buffers that hold infinities and no NaN: constants, such as a mask of -inf.

    They are left out of the checks.
    """
    names = not_finite(dict(model.named_buffers()))
    return {name for name in names if not bool(model.get_buffer(name).isnan().any())}


def checked_tensors(
    weights: Mapping[str, Any], optimizer: Mapping[str, Any], parameters: Sequence[str], constants: Collection[str]
) -> dict[str, Any]:
    """Return the tensors of a checkpoint that must be finite, by the names that a message uses.

    Args:
        weights: The `state_dict` of a network.
        optimizer: The `state_dict` of its optimiser; empty: the weights only.
        parameters: The names of the network's parameters, in their order.
        constants: The names of buffers to leave out; see `infinite_buffers`.
    """
    found = {name: each for name, each in weights.items() if name not in constants}
    for index, state in (optimizer.get("state") or {}).items():
        name = parameters[index] if index < len(parameters) else f"parameter {index}"
        found |= {f"the optimiser's {key} of {name}": each for key, each in state.items()}
    return found


def check_loaded(
    checkpoint: Mapping[str, Any], model: nn.Module, constants: Collection[str], *, with_optimizer: bool = False
) -> None:
    """Check the tensors of a checkpoint before a network loads them.

    Args:
        checkpoint: The checkpoint.
        model: The network that is to load it.
        constants: As for `checked_tensors`.
        with_optimizer: Whether the optimiser's state is loaded too.

    Raises:
        FloatingPointError: If a tensor is not finite: the checkpoint was written by a version that has no such check.
    """
    names = [name for name, _ in model.named_parameters()]
    tensors = checked_tensors(
        checkpoint["model"], (checkpoint["optimizer"] or {}) if with_optimizer else {}, names, constants
    )
    if bad := not_finite(tensors):
        raise FloatingPointError(
            f"the checkpoint of epoch {checkpoint.get('epoch')} is not finite: {listed(bad, tensors)}; "
            "nothing can continue from it: train again from an earlier checkpoint or from the start, with a lower "
            "learning rate, and check the data"
        )


def check_trained(tensors: Mapping[str, Any], epoch: int) -> None:
    """Check the tensors of a network and its optimiser after an epoch.

    Args:
        tensors: The result of `checked_tensors`.
        epoch: The epoch, from 1.

    Raises:
        FloatingPointError: If a tensor is not finite; the message names it.
    """
    if bad := not_finite(tensors):
        raise FloatingPointError(
            f"after epoch {epoch} {listed(bad, tensors)}; a lower learning rate may help, or a norm (tdbn), or in "
            "float16 a precision with a larger range (bfloat16)"
        )


def listed(names: Sequence[str], tensors: Mapping[str, Tensor]) -> str:
    """Return the description of the first named tensor, and how many more there are."""
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return description(names[0], tensors[names[0]]) + more
