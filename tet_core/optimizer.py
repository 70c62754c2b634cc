"""Optimisers and the learning-rate schedule."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from tet_core.config import AdamConfig, SgdConfig, TrainConfig


def build_optimizer(config: AdamConfig | SgdConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Make the optimiser that a config names (weight decay is added to the gradient, not decoupled)."""
    # fused: one kernel for all parameters; a small network's step is mostly overhead otherwise
    if isinstance(config, AdamConfig):
        return torch.optim.Adam(parameters, fused=True, **_fields(config))
    return torch.optim.SGD(parameters, fused=True, **_fields(config))


def set_fields(optimizer: torch.optim.Optimizer, config: AdamConfig | SgdConfig) -> None:
    """Give an optimiser whose state came from an earlier stage this stage's settings."""
    for group in optimizer.param_groups:
        group.update(_fields(config))


def learning_rate(config: TrainConfig, number: int) -> float:
    """The learning rate of a stage's epoch.

    `cosine`: `lr_min + (lr - lr_min) * (1 + cos(pi * done / length)) / 2`, where `done` counts the epochs of the
    schedule before this one and `length` all of them. A closed form: there is no state to save.

    Args:
        config: The stage.
        number: The epoch, from 1.
    """
    lr, lr_min = config.optimizer.lr, config.schedule.lr_min
    if config.schedule.name == "constant":
        return lr
    done, length = config.schedule_offset + number - 1, config.schedule_epochs or config.epochs
    return lr_min + (lr - lr_min) * (1 + math.cos(math.pi * done / length)) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def _fields(config: AdamConfig | SgdConfig) -> dict[str, Any]:
    return config.model_dump(exclude={"name"})
