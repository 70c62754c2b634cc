"""Optimisers and the learning-rate schedule."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from tet_core.config import AdamConfig, SgdConfig, TrainConfig


def build_optimizer(config: AdamConfig | SgdConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that a config names; weight decay is added to the gradient, not decoupled."""
    # fused: one kernel for all parameters; otherwise a small network's step is mostly overhead
    match config:
        case AdamConfig():
            return Adam(parameters, fused=True, **_fields(config))
        case SgdConfig():
            return SGD(parameters, fused=True, **_fields(config))
        case unknown:
            assert_never(unknown)


class _InMemoryOrder(torch.optim.Optimizer):
    """An optimiser whose step reads weights, gradients and state in their order in memory.

    torch's fused steps on CPUs (2.13) copy every gradient that is channels-last, and do not use the copy: this takes
    longer than the step itself.
    """

    # torch wraps these methods, and its steps, to keep its compiler off them. The wrapper loads the whole compiler, and
    # this takes a second of every process. The methods are unwrapped here, because nothing is compiled.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    # The step of torch's class.
    _step: Callable[..., Any]

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Run the step of torch's class; the result has the same bits."""
        with torch.no_grad():
            if closure is not None:  # the closure must see the weights in their own shape
                return self._step(closure)
            with _in_memory_order(self):
                return self._step()


class Adam(_InMemoryOrder, torch.optim.Adam):
    """`torch.optim.Adam`, in the order of memory."""

    _step = inspect.unwrap(torch.optim.Adam.step)


class SGD(_InMemoryOrder, torch.optim.SGD):
    """`torch.optim.SGD`, in the order of memory."""

    _step = inspect.unwrap(torch.optim.SGD.step)


_TO_CHANNELS_LAST, _BACK = (0, 2, 3, 1), (0, 3, 1, 2)
# Least number of elements of a tensor that is permuted: for a smaller one torch's copy is faster.
_LARGE = 1 << 16


@contextmanager
def _in_memory_order(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    permuted = [p for group in optimizer.param_groups for p in group["params"] if _is_channels_last(p)]
    for p in permuted:
        _permute(p, optimizer.state[p], _TO_CHANNELS_LAST)
    try:
        yield
    finally:
        for p in permuted:
            _permute(p, optimizer.state[p], _BACK)


def _is_channels_last(p: nn.Parameter) -> bool:
    if p.grad is None or p.device.type != "cpu" or p.numel() < _LARGE or p.ndim != 4 or p.is_contiguous():
        return False
    return all(each.is_contiguous(memory_format=torch.channels_last) for each in (p, p.grad))


def _permute(p: nn.Parameter, state: dict[str, Any], axes: tuple[int, ...]) -> None:
    shape, grad = p.shape, p.grad
    assert grad is not None
    p.grad = None
    p.data = p.data.permute(axes)
    p.grad = grad.permute(axes)
    state.update(
        {key: each.permute(axes) for key, each in state.items() if isinstance(each, Tensor) and each.shape == shape}
    )


def set_fields(optimizer: torch.optim.Optimizer, config: AdamConfig | SgdConfig) -> None:
    """Set an optimiser's settings to those of a config; a loaded state brings the settings of an earlier stage."""
    for group in optimizer.param_groups:
        group.update(_fields(config))


def learning_rate(config: TrainConfig, number: int) -> float:
    """Return the learning rate of a stage's epoch.

    `constant`: `lr`. `cosine`: `lr_min + (lr - lr_min) * (1 + cos(pi * done / length)) / 2`, with `done` the number
    of epochs of the schedule before this one and `length` the number of all. There is no state to save.

    Args:
        config: The stage.
        number: The epoch, from 1.
    """
    lr, lr_min = config.optimizer.lr, config.schedule.lr_min
    match config.schedule.name:
        case "constant":
            return lr
        case "cosine":
            done, length = config.schedule_offset + number - 1, config.schedule_epochs or config.epochs
            return lr_min + (lr - lr_min) * (1 + math.cos(math.pi * done / length)) / 2
        case unknown:
            assert_never(unknown)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def _fields(config: AdamConfig | SgdConfig) -> dict[str, Any]:
    return config.model_dump(exclude={"name"})
