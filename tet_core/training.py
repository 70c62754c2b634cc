"""Training one stage, an epoch at a time.

Shapes: T time steps, B batch, C channels, H and W pixels, K classes.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from tet_core import environment, memory
from tet_core.checkpoint import FORMAT, CheckpointError, EnvironmentMismatch, snapshot, weights_sha256
from tet_core.config import TrainConfig
from tet_core.data import Dataset, load_dataset
from tet_core.data.loader import TrainLoader, split_validation
from tet_core.distributed import Workers
from tet_core.energy import VAL_ENERGY_J, energy_j
from tet_core.evaluation import build, measure, num_correct
from tet_core.health import LayerHealth, watched
from tet_core.losses import build_loss
from tet_core.norm import average_statistics, synchronise
from tet_core.optimizer import build_optimizer, learning_rate, set_fields, set_learning_rate

# In the record of the environment: the bits depend on it.
NUM_WORKERS = "num_workers"
# What checkpoints were trained with that were made before there was a choice.
_BEFORE = {"sync_norm": True, "train_part": 1.0}


@dataclass(frozen=True)
class Epoch:
    """What one epoch left behind.

    Attributes:
        number: The epoch, from 1 within its stage.
        epochs: How many the stage has.
        metrics: `train/`, `test/` and, with a validation set, `val/` metrics (accuracies as fractions, losses
            averaged over samples), `epoch_time_s` (seconds of the training pass alone) and `samples_per_s`.
        layers: How each layer of spiking neurons was on the first samples of the last whole batch, as
            `tet_core.health.watched` says; empty unless it was asked for.
    """

    number: int
    epochs: int
    metrics: dict[str, float]
    _checkpoint: dict[str, Any] = field(repr=False)
    layers: dict[str, LayerHealth] = field(default_factory=dict)

    def checkpoint(self) -> dict[str, Any]:
        """All that it takes to go on from here bit by bit; later epochs do not change it."""
        return self._checkpoint

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of the weights and buffers after this epoch."""
        return weights_sha256(self._checkpoint)


@dataclass(frozen=True)
class Start:
    """What a stage is about to train with.

    Attributes:
        initial_sha256: Hash of the weights and buffers that the next epoch starts from.
        environment: What the bits depend on beyond the config; see `tet_core.environment.record`.
        dataset: `name`, `digest` (of the content) and `source` (where it came from) of the data.
        num_parameters: Trainable numbers of the network.
    """

    initial_sha256: str
    environment: environment.Record
    dataset: dict[str, str]
    num_parameters: int


class Epochs(Iterator[Epoch]):
    """The epochs of a stage still to be trained: each `next` trains one.

    Attributes:
        start: What the first of them starts from.
    """

    def __init__(self, start: Start, epochs: Iterator[Epoch]) -> None:
        self.start = start
        self._epochs = epochs

    def __next__(self) -> Epoch:
        """Train the next epoch."""
        return next(self._epochs)


def train_epochs(
    config: TrainConfig,
    *,
    initial: Mapping[str, Any] | None = None,
    resume: Mapping[str, Any] | None = None,
    data_root: Path | None = None,
    on_step: Callable[[], None] | None = None,
    with_layers: bool = False,
    with_energy: bool = False,
    group: ProcessGroup | None = None,
) -> Epochs:
    """Train a stage; yields after every epoch.

    torch's threads and determinism flags are set while an epoch runs, and are the caller's own in between.

    Several workers train a stage together where each calls this, with the same config and a process group of them all.
    `config.batch_size` is that of all together, so the experiment is the same with any number of them. All get the
    same metrics and weights; what is to be written, the first one of the group writes.

    Args:
        config: The stage.
        initial: Checkpoint of the chain's stage before. Its weights are taken over; with `config.inherit` = "all"
            the optimiser's state too.
        resume: Checkpoint of this very stage; training goes on at the epoch after it.
        data_root: As for `load_dataset`.
        on_step: Called after every batch that was trained on or measured. If it raises, training ends there.
        with_layers: Whether each epoch also tells how its layers are; no bit of the training changes. Of several
            workers only the first one tells.
        with_energy: Whether each epoch's metrics have `val/energy_j` too: an estimate of the energy for an image, in J,
            as `tet_core.energy.energy_j` makes it of validation samples; no bit of the training changes.
        group: The workers that share the stage; `initial` and `resume` are taken from the first one. None: this
            process alone.

    Returns:
        An iterator with one item an epoch, none if `resume` is of the last one; its `start` says what it begins with.

    Raises:
        ValueError: If `resume` was made under another config or environment (it names what differs), a checkpoint
            does not fit the network or the optimiser, or the energy is asked for without a validation set.
        DataError: If the data set is missing or damaged.
        FloatingPointError: While iterating, if a loss is not finite; it names epoch, batch and loss. Or if a metric
            of the trained network is not.
        WorkersDifferError: If workers have other configs, environments or data.
        WorkersApartError: Also while iterating, if a worker is lost.
    """
    if with_energy and config.validation == 0:
        raise ValueError(
            "validation is 0; it must be above 0 where with_energy is True, to have samples to estimate it on"
        )
    config, workers = environment.settled(config), Workers.of(group)
    record = environment.record(config) | {NUM_WORKERS: workers.num}
    workers.check_alike("the config", config.model_dump(mode="json"))
    workers.check_alike("the environment", record)
    initial, resume = workers.from_first((initial, resume))
    with environment.applied(config):
        stage = _Stage(config, load_dataset(config.dataset, data_root, T=config.T), on_step or _nothing, workers)
        start = 0
        if resume is not None:
            _check_same(resume, config, record)
            stage.load(resume, with_optimizer=True)
            start = resume["epoch"]
        elif initial is not None:
            stage.load(initial, with_optimizer=config.inherit == "all")
    described = stage.describe(record)
    workers.check_alike("the start", (described.initial_sha256, described.dataset["digest"]))
    return Epochs(described, _run(stage, config, record, start, with_layers and workers.rank == 0, with_energy))


def _nothing() -> None:
    """What is done after a batch where nobody wants to know."""


def _run(
    stage: "_Stage",
    config: TrainConfig,
    record: environment.Record,
    start: int,
    with_layers: bool,
    with_energy: bool,
) -> Iterator[Epoch]:
    for number in range(start + 1, config.epochs + 1):
        with environment.applied(config):
            metrics, layers = stage.train_epoch(number, with_layers)
            metrics |= stage.measure() | (stage.energy() if with_energy else {})
            _check_finite_metrics(metrics, number)
            if stage.workers.are_many:
                # What one worker computes otherwise than another would go unseen, and into the checkpoint.
                stage.workers.check_alike(f"the hash after epoch {number}", weights_sha256(stage.model.state_dict()))
            checkpoint = {
                "format": FORMAT,
                "config": config.model_dump(mode="json"),
                "environment": dict(record),
                "epoch": number,
                "model": snapshot(stage.model.state_dict()),
                "optimizer": snapshot(stage.optimizer.state_dict()),
                "scaler": stage.scaler.state_dict(),
                "metrics": dict(metrics),
            }
        yield Epoch(number, config.epochs, metrics, checkpoint, layers)


class _Stage:
    """What lives while a stage trains: network, optimiser, data."""

    def __init__(self, config: TrainConfig, dataset: Dataset, on_step: Callable[[], None], workers: Workers) -> None:
        self.config, self.dataset, self.on_step, self.workers = config, dataset, on_step, workers
        self.device = environment.device(config)
        self.model = build(config)
        if config.sync_norm:
            synchronise(self.model, workers)
        self.optimizer = build_optimizer(config.optimizer, self.model.parameters())
        self.scaler = environment.scaler(config)
        self.loss = build_loss(config.loss)
        train, validation = split_validation(dataset.train.labels, config.validation, config.seed, config.train_part)
        self.loader = TrainLoader(
            dataset,
            train,
            batch_size=config.batch_size,
            steps=config.augmentation,
            seed=config.seed,
            device=self.device,
            dtype=environment.dtype(config),
            workers=workers,
        )
        self.splits = {"test": dataset.test.to(self.device)}
        if len(validation):
            self.splits["val"] = dataset.train.subset(validation).to(self.device)

    def load(self, checkpoint: Mapping[str, Any], *, with_optimizer: bool) -> None:
        """Take over weights and, if asked, the optimiser's state, with this stage's settings."""
        try:
            self.model.load_state_dict(checkpoint["model"])
        except RuntimeError as error:
            first, *others = str(error).splitlines()[1:]  # after a headline, a line for each tensor
            detail = f"{first.strip()} ({len(others)} more)"
            raise CheckpointError(f"the checkpoint does not fit model {self.config.model.name!r}: {detail}") from error
        if with_optimizer:
            name, saved = self.config.optimizer.name, checkpoint["config"]["optimizer"]["name"]
            if saved != name:
                raise CheckpointError(
                    f"optimizer is {name!r}, the checkpoint's {saved!r}; its state needs the same one"
                )
            # A copy: torch takes the tensors themselves, and training would change the checkpoint.
            self.optimizer.load_state_dict(snapshot(checkpoint["optimizer"]))
            set_fields(self.optimizer, self.config.optimizer)
            if self.scaler.is_enabled() and (scale := checkpoint.get("scaler")):
                self.scaler.load_state_dict(dict(scale))

    def describe(self, record: environment.Record) -> Start:
        """What it would train with now."""
        data = {"name": self.dataset.name, "digest": self.dataset.digest, "source": self.dataset.source}
        num_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return Start(weights_sha256(self.model.state_dict()), record, data, num_parameters)

    def train_epoch(self, number: int, with_layers: bool) -> tuple[dict[str, float], dict[str, LayerHealth]]:
        """One pass over the training set; and how each layer was in the last whole batch of it, if asked for."""
        config = self.config
        set_learning_rate(self.optimizer, learning_rate(config, number))
        self.model.train()
        losses, sizes = [], self.loader.sizes
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        start = self._now()
        layers: dict[str, LayerHealth] = {}
        last_whole = max(place for place, size in enumerate(sizes) if size == sizes[0])
        # Of a batch smaller than the number of workers some have nothing to look at.
        watched_at = last_whole if with_layers and sizes[0] >= self.workers.num else None
        batches = self.loader.epoch(config.epoch_offset + number)
        for place, ((images, labels), size) in enumerate(zip(batches, sizes, strict=True)):
            with watched(self.model) if place == watched_at else nullcontext(layers) as layers:
                loss, outputs = self._step(images, labels, size)
            losses.append(loss)
            correct += num_correct(outputs, labels)
            self.on_step()
        # The one point where a GPU is waited for.
        batch_losses = self.workers.summed(torch.stack(losses).double()).cpu()
        seconds = self._now() - start
        _check_finite(batch_losses, number, config.loss.name)
        average_statistics(self.model, self.workers)
        num_samples = self.loader.num_samples
        metrics = {
            "train/loss": float(batch_losses @ torch.tensor(sizes, dtype=torch.float64)) / num_samples,
            "train/accuracy": int(self.workers.summed(correct)) / num_samples,
            "epoch_time_s": seconds,
            "samples_per_s": num_samples / seconds,
        }
        return metrics, layers

    def _step(self, images: Tensor, labels: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Train on this worker's share of a batch of `size`; returns what it adds to the batch's loss, and outputs."""
        with memory.kept(self.config.memory), environment.autocast(self.config):
            outputs: Tensor = self.model(self.dataset.to_input(images, self.config.T))
        outputs = outputs.to(images.dtype)
        loss = self._loss(outputs, labels, size)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        self.workers.sum_gradients(self.model.parameters())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach(), outputs.detach()

    def _loss(self, outputs: Tensor, labels: Tensor, size: int) -> Tensor:
        """What this worker's share adds to the mean over the batch."""
        if len(labels) == size:
            return self.loss(outputs, labels)
        if not len(labels):  # gradients of nothing, so that the others find this worker where they are
            return outputs.sum()
        return self.loss(outputs, labels) * (len(labels) / size)

    def measure(self) -> dict[str, float]:
        """Metrics of the test set and, if there is one, of the validation set."""
        return {
            f"{name}/{key}": value
            for name, split in self.splits.items()
            for key, value in measure(self.model, self.dataset, split, self.config, self.on_step, self.workers).items()
        }

    def energy(self) -> dict[str, float]:
        """Estimated energy for an image of the validation set, in J."""
        return {VAL_ENERGY_J: energy_j(self.model, self.dataset, self.splits["val"], self.config, self.on_step)}

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _check_finite(losses: Tensor, epoch: int, name: str) -> None:
    bad = (~losses.isfinite()).nonzero().flatten().tolist()
    if bad:
        raise FloatingPointError(
            f"the {name} loss is {float(losses[bad[0]])} in epoch {epoch}, batch {bad[0] + 1} of {len(losses)}; "
            "a lower learning rate may help"
        )


def _check_finite_metrics(metrics: Mapping[str, float], epoch: int) -> None:
    """The last step of an epoch can break a network whose losses were finite until then."""
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} after epoch {epoch}; a lower learning rate may help")


def _of_a_worker(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != NUM_WORKERS}


def _check_same(resume: Mapping[str, Any], config: TrainConfig, record: environment.Record) -> None:
    lines = environment.differences(_BEFORE | resume["config"], config.model_dump(mode="json"))
    if lines:
        raise CheckpointError(f"the checkpoint is of another config: {'; '.join(lines)}")
    # With another number of workers the bits are others too, but the experiment is the same: it may go on.
    lines = environment.differences(_of_a_worker(resume["environment"]), _of_a_worker(record))
    if lines:
        raise EnvironmentMismatch(
            f"the checkpoint was made in another environment, so going on would not give the same bits: "
            f"{'; '.join(lines)}"
        )
