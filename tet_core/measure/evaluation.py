"""Measuring a network on a data set: its losses and its accuracy.

Shapes: T time steps, B batch, K classes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tet_core import checkpoint as checkpoints
from tet_core import environment
from tet_core.config import TrainConfig
from tet_core.data import Dataset, Samples, load_dataset
from tet_core.data.loader import evaluation_batches, split_validation
from tet_core.distributed import ALONE, Workers
from tet_core.errors import ConfigError
from tet_core.finite import check_loaded, infinite_buffers
from tet_core.losses import build_loss, sdt_loss, tet_loss
from tet_core.network import build_network, run_network

# Number of samples of a batch, the same for all stages: metrics are sums over batches, and rounding depends on the
# batches. 128 samples fit caches and small GPUs at any T in use.
BATCH_SIZE = 128


@dataclass(frozen=True)
class Measured:
    """The metrics of a network on a split, and which samples it classifies correctly.

    Attributes:
        metrics: As for `measure`.
        is_correct: `[N]`, bool, on the CPU: one value for each sample, in the split's order.
    """

    metrics: dict[str, float]
    is_correct: Tensor


def are_correct(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return which samples of a batch are classified correctly, by the argmax over classes of the time-mean.

    Args:
        outputs: `[T, B, K]`.
        labels: `[B]`, int64.

    Returns:
        `[B]`, bool, on the device of `outputs`.
    """
    return outputs.mean(0).argmax(1) == labels


def num_correct(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return how many samples of a batch are classified correctly: a scalar, int64, on the device of `outputs`."""
    return are_correct(outputs, labels).sum()


def measure(
    model: nn.Module,
    dataset: Dataset,
    split: Samples,
    config: TrainConfig,
    on_step: Callable[[], None] | None = None,
    workers: Workers = ALONE,
) -> dict[str, float]:
    """Measure a network on a split.

    Args:
        model: The network; it is left in evaluation mode.
        dataset: The data set that the split belongs to.
        split: The samples, on the model's device.
        config: T, the loss and the precision.
        on_step: Called after every batch. If it raises an error, the measurement stops with that error.
        workers: The workers that share the batches; all get the same metrics, with any number of workers.

    Returns:
        `loss` (the stage's own), `loss_sdt` (Eq. 7), `loss_tet` (Eq. 9), each averaged over the samples, and
        `accuracy`, a fraction. Computed in float64 from the network's outputs.
    """
    return measure_prefixes(model, dataset, split, config, (config.T,), on_step, workers)[config.T]


def measure_samples(
    model: nn.Module,
    dataset: Dataset,
    split: Samples,
    config: TrainConfig,
    on_step: Callable[[], None] | None = None,
    workers: Workers = ALONE,
) -> Measured:
    """Measure a network on a split as `measure` does, and return also which samples it classifies correctly.

    Each sample is evaluated by one worker, and every worker gets the values of all samples.
    """
    # uint8, because an all-reduce takes no bool. A sum is 0 or 1.
    right = torch.zeros(len(split), dtype=torch.uint8, device=split.labels.device)
    metrics = _measured(model, dataset, split, config, (config.T,), on_step, workers, right)[config.T]
    return Measured(metrics, workers.summed(right).cpu().bool())


def measure_prefixes(
    model: nn.Module,
    dataset: Dataset,
    split: Samples,
    config: TrainConfig,
    steps: Sequence[int],
    on_step: Callable[[], None] | None = None,
    workers: Workers = ALONE,
) -> dict[int, dict[str, float]]:
    """Measure a network at several T in one pass at the largest T: its first outputs are those of the smaller T.

    This holds for networks whose output at a step depends only on the input up to that step, and for inputs whose steps
    do not depend on T: still images, but not recordings, which are sliced again for every T.

    Args:
        model: As for `measure`.
        dataset: As for `measure`.
        split: As for `measure`.
        config: The loss and the precision.
        steps: The numbers of time steps T, at least one.
        on_step: As for `measure`.
        workers: As for `measure`.

    Returns:
        The metrics of `measure` for each T.
    """
    return _measured(model, dataset, split, config, steps, on_step, workers, None)


@torch.no_grad()
def _measured(
    model: nn.Module,
    dataset: Dataset,
    split: Samples,
    config: TrainConfig,
    steps: Sequence[int],
    on_step: Callable[[], None] | None,
    workers: Workers,
    right: Tensor | None,
) -> dict[int, dict[str, float]]:
    """Measure as `measure_prefixes` does; write 1 into `right` `[N]` for this worker's samples that are correct."""
    model.eval()
    losses = {"loss": build_loss(config.loss), "loss_sdt": sdt_loss, "loss_tet": _eq_9}
    # One row for each batch: rows are added in the same order for any number of workers, so the bits are the same.
    num_batches = math.ceil(len(split) / BATCH_SIZE)
    rows = torch.zeros(num_batches, len(steps), len(losses) + 1, dtype=torch.float64, device=split.labels.device)
    dtype = environment.dtype(config)
    batches = evaluation_batches(dataset, split, batch_size=BATCH_SIZE, dtype=dtype, workers=workers)
    for number, (images, labels) in zip(workers.dealt(range(num_batches)), batches, strict=True):
        outputs = run_network(model, dataset.to_input(images, max(steps)), config).double()
        for row, T in zip(rows[number], steps, strict=True):
            values = [loss(outputs[:T], labels) * len(labels) for loss in losses.values()]
            row += torch.stack([*values, num_correct(outputs[:T], labels).double()])
        if right is not None:
            first = number * BATCH_SIZE
            right[first : first + len(labels)] = are_correct(outputs, labels)
        if on_step is not None:
            on_step()
    sums = torch.zeros_like(rows[0])
    for batch_sums in workers.summed(rows):
        sums += batch_sums
    means = (sums / len(split)).tolist()
    return {T: dict(zip([*losses, "accuracy"], row, strict=True)) for T, row in zip(steps, means, strict=True)}


def _eq_9(outputs: Tensor, labels: Tensor) -> Tensor:
    return tet_loss(outputs, labels, lamb=0.0)


def evaluate(
    checkpoint: Mapping[str, Any] | Path | str, *, data_root: Path | None = None, split: str = "test"
) -> dict[str, float]:
    """Measure a checkpoint with its own config; the metrics equal those that training logged, to the last digit.

    Args:
        checkpoint: A checkpoint, or the path of one.
        data_root: As for `load_dataset`.
        split: "test", or "val" if the stage had a validation set.

    Returns:
        `test/loss`, `test/loss_sdt`, `test/loss_tet` and `test/accuracy`, or the same under `val/`.

    Raises:
        ConfigError: If `split` is neither "test" nor "val", or is "val" and the stage had no validation set.
        CheckpointError: If the file is damaged.
        FloatingPointError: If the checkpoint's weights are not finite.
    """
    if not isinstance(checkpoint, Mapping):
        checkpoint = checkpoints.load_checkpoint(checkpoint)
    config = TrainConfig.model_validate(checkpoint["config"])
    if split not in ("test", "val"):
        raise ConfigError("split", split, "it must be 'test' or 'val'")
    if split == "val" and config.validation == 0:
        raise ConfigError("split", split, "the checkpoint's stage had no validation set (validation was 0)")
    dataset = load_dataset(config.dataset, data_root, T=config.T)
    part = dataset.test
    if split == "val":
        labels = dataset.train.labels
        _, members = split_validation(labels, config.validation, config.seed, config.train_part)
        part = dataset.train.subset(members)
    with environment.applied(config):
        model = build_network(config)
        check_loaded(checkpoint, model, infinite_buffers(model))
        model.load_state_dict(checkpoint["model"])
        metrics = measure(model, dataset, part.to(environment.device(config)), config)
    return {f"{split}/{name}": value for name, value in metrics.items()}
