"""One batch of a stage, forward and backward, to find out whether the stage can run at all. Nothing is trained.

Shapes: T time steps, B batch, C channels, H and W pixels.
"""

import torch
from torch import Tensor

from tet_core import environment, memory
from tet_core.config import TrainConfig
from tet_core.data import Dataset
from tet_core.data.loader import evaluation_batches, split_validation
from tet_core.losses import build_loss
from tet_core.network import build_network, run_network


def check_samples(config: TrainConfig, dataset: Dataset) -> None:
    """Take the first test sample, which every stage measures, and split the training set as the stage does.

    Raises:
        ConfigError: If the split would leave no samples.
        DataError: If the sample is damaged, or is not what the data set's card says.
        EntryPointError: If the code behind an entry point fails.
    """
    split_validation(dataset.train.labels, config.validation, config.seed, config.train_part)
    _samples(config, dataset, 1)


def try_batch(config: TrainConfig, dataset: Dataset | None, size: int) -> None:
    """Build a stage's network, and run one batch forward and backward. Later random draws of the process stay the same.

    Args:
        config: The stage. Recordings may be cut into more frames than its T.
        dataset: The data set, whose test samples make the batch; None: a batch of zeros, as the card describes it.
        size: B, the number of samples.

    Raises:
        ConfigError: If the model does not fit the data, no installed package offers its entry point, or this machine
            lacks the device.
        DataError: If a sample is damaged.
        EntryPointError: If the code behind an entry point fails, or its network returns another shape.
    """
    with environment.applied(config), torch.random.fork_rng(devices=_gpus(config)):
        model = build_network(config).train()
        x_TBCHW, labels = _zeros(config, size) if dataset is None else _samples(config, dataset, size)
        with memory.kept(config.memory):
            outputs = run_network(model, x_TBCHW, config)
        loss = build_loss(config.loss)(outputs.to(x_TBCHW.dtype), labels)
        torch.autograd.backward(loss)


def _samples(config: TrainConfig, dataset: Dataset, size: int) -> tuple[Tensor, Tensor]:
    """Return the first test samples as `[T, B, C, H, W]`, and their labels `[B]`; a small set is repeated."""
    indices = torch.arange(size) % len(dataset.test)
    samples = dataset.test.subset(indices).to(environment.device(config))
    batches = evaluation_batches(dataset, samples, batch_size=size, dtype=environment.dtype(config))
    images, labels = next(iter(batches))
    if dataset.is_events:
        images = images[:, : config.T]
    return dataset.to_input(images, config.T), labels


def _zeros(config: TrainConfig, size: int) -> tuple[Tensor, Tensor]:
    card, where = config.dataset.card(), environment.device(config)
    shape = (config.T, size, card.in_channels, card.input_size, card.input_size)
    images = torch.zeros(shape, dtype=environment.dtype(config), device=where)
    return images, torch.zeros(size, dtype=torch.int64, device=where)


def _gpus(config: TrainConfig) -> list[int]:
    return [torch.cuda.current_device()] if environment.device(config).type == "cuda" else []
