"""The two losses under comparison: standard direct training (SDT) and temporal efficient training (TET).

Shapes: outputs O is `[T, B, K]` (T time steps, B batch, K classes), labels are `[B]`, integer classes 0 to K-1.
S is the softmax over classes, y the one-hot label.

Source: Deng et al., ICLR 2022, Eq. 7-13.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional

from tet_core.config import SdtLoss, TetLoss
from tet_core.errors import ConfigError

Loss = Callable[[Tensor, Tensor], Tensor]


def sdt_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of the time-mean output: `L_SDT = CE(mean_t O(t), y)` (Eq. 7).

    Its gradient gives every step the same weight: `dL/dO(t) = (S(mean_t O(t)) - y) / T` (Eq. 8), here also divided
    by B.

    Args:
        outputs: `[T, B, K]`, floating point.
        labels: `[B]`, int64.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ValueError: If the shapes do not fit together, or the labels are not integers.
    """
    _check(outputs, labels)
    return functional.cross_entropy(outputs.mean(0), labels)


def tet_loss(outputs: Tensor, labels: Tensor, *, lamb: float = 0.05, phi: float = 1.0) -> Tensor:
    """Return `(1 - lamb) * mean_t CE(O(t), y) + lamb * mean((O - phi)^2)` (Eq. 9, 12, 13).

    The first term is the cross-entropy at every step; its gradient gives every step its own weight:
    `dL/dO(t) = (S(O(t)) - y) / T` (Eq. 10), here also divided by B. The second term's mean runs over all of
    `[T, B, K]`. With `lamb` = 0 this is L_TET of Eq. 9, and L_SDT <= L_TET for any outputs (Lemma 4.1).

    Args:
        outputs: `[T, B, K]`, floating point.
        labels: `[B]`, int64.
        lamb: Weight of the regulariser, 0 to 1.
        phi: Level that the regulariser pulls every output to, in units of the output.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ConfigError: If `lamb` is outside 0 to 1.
        ValueError: If the shapes do not fit together, or the labels are not integers.
    """
    _check(outputs, labels)
    if not 0 <= lamb <= 1:
        raise ConfigError("lamb", lamb, "it must be from 0 to 1")
    cross_entropy = functional.cross_entropy(outputs.flatten(0, 1), labels.repeat(outputs.shape[0]))
    if lamb == 0:  # 0 * inf would be nan
        return cross_entropy
    return (1 - lamb) * cross_entropy + lamb * (outputs - phi).square().mean()


def build_loss(config: SdtLoss | TetLoss) -> Loss:
    """Return the loss that a config names: a function of (outputs, labels)."""
    match config:
        case SdtLoss():
            return sdt_loss
        case TetLoss():
            return partial(tet_loss, lamb=config.lamb, phi=config.phi)
        case unknown:
            assert_never(unknown)


def _check(outputs: Tensor, labels: Tensor) -> None:
    if outputs.ndim != 3 or labels.ndim != 1 or outputs.shape[1] != labels.shape[0]:
        raise ValueError(
            f"outputs have shape {tuple(outputs.shape)} and labels {tuple(labels.shape)}; "
            "they must be [T, B, K] and [B]"
        )
    if labels.dtype not in (torch.int64, torch.uint8):
        raise ValueError(f"labels are {labels.dtype}; they must be int64, from 0 to K-1: cast integers with .long()")
