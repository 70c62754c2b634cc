"""A stage that is being trained: its network, optimiser and data, and one pass over the data.

Shapes: T time steps, B batch, C channels, H and W pixels, K classes.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tet_core import environment, memory
from tet_core.checkpoint import snapshot, weights_sha256
from tet_core.config import TrainConfig
from tet_core.data import Dataset
from tet_core.data.loader import TrainLoader, split_validation
from tet_core.distributed import Workers
from tet_core.errors import CheckpointError
from tet_core.finite import check_loaded, check_trained, checked_tensors, infinite_buffers
from tet_core.losses import build_loss
from tet_core.measure.energy import VAL_ENERGY_J, energy_j
from tet_core.measure.evaluation import Measured, measure_samples, num_correct
from tet_core.measure.layer_health import LayerHealth, watched
from tet_core.network import build_network, errors_of_model, run_network
from tet_core.norm import average_statistics, synchronise
from tet_core.train.optimizer import build_optimizer, learning_rate, set_fields, set_learning_rate


@dataclass(frozen=True)
class StageStart:
    """The state that a stage starts from.

    Attributes:
        initial_sha256: Hash of the weights and buffers that the next epoch starts from.
        environment: The facts besides the config that the bits depend on; see `tet_core.environment.record_of`.
        dataset: The facts about the data; see `tet_core.data.dataset.Dataset.facts`.
        num_parameters: How many trainable numbers the network has.
    """

    initial_sha256: str
    environment: environment.EnvironmentRecord
    dataset: dict[str, str | int]
    num_parameters: int


class Stage:
    """A stage that is being trained.

    Args:
        config: The stage's settings.
        dataset: The stage's data.
        on_step: Called after every trained or measured batch.
        workers: The workers that share the stage.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset, on_step: Callable[[], None], workers: Workers) -> None:
        self.config, self.dataset, self.on_step, self.workers = config, dataset, on_step, workers
        self.device = environment.device(config)
        self.model = build_network(config)
        self._constants = infinite_buffers(self.model)
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

    def take_over(self, checkpoint: Mapping[str, Any], *, with_optimizer: bool) -> None:
        """Load the weights of a checkpoint and, if asked, its optimiser's state, but keep this stage's settings.

        Raises:
            CheckpointError: If the weights do not fit the network, or the state is that of another optimiser.
            FloatingPointError: If the weights, or the state to load, are not finite.
        """
        check_loaded(checkpoint, self.model, self._constants, with_optimizer=with_optimizer)
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
                    f"optimizer is {name!r}, the checkpoint's is {saved!r}; to load its state they must be the same"
                )
            # Load a copy: torch keeps the tensors that it loads, so training would change the checkpoint.
            self.optimizer.load_state_dict(snapshot(checkpoint["optimizer"]))
            set_fields(self.optimizer, self.config.optimizer)
            if self.scaler.is_enabled() and (scale := checkpoint.get("scaler")):
                self.scaler.load_state_dict(dict(scale))

    def describe_start(self, record: environment.EnvironmentRecord) -> StageStart:
        """Return the state that the next epoch starts from."""
        num_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return StageStart(weights_sha256(self.model.state_dict()), record, self.dataset.facts, num_parameters)

    @property
    def data(self) -> dict[str, Any]:
        """The facts about the data that a checkpoint has, so that its network can be used without the data."""
        classes = self.dataset.classes
        return {
            "classes": None if classes is None else list(classes),
            "mean": list(self.dataset.mean),
            "std": list(self.dataset.std),
        }

    def train_epoch(self, number: int, with_layers: bool) -> tuple[dict[str, float], dict[str, LayerHealth]]:
        """Train one epoch; return its metrics and, if asked for, the health of each layer in its last whole batch."""
        config = self.config
        set_learning_rate(self.optimizer, learning_rate(config, number))
        self.model.train()
        losses, sizes = [], self.loader.sizes
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        start = self._now()
        layers: dict[str, LayerHealth] = {}
        last_whole = max(place for place, size in enumerate(sizes) if size == sizes[0])
        # If a batch is smaller than the number of workers, some workers have no sample to measure.
        watched_at = last_whole if with_layers and sizes[0] >= self.workers.num else None
        batches = self.loader.epoch(config.epoch_offset + number)
        for place, ((images, labels), size) in enumerate(zip(batches, sizes, strict=True)):
            with watched(self.model) if place == watched_at else nullcontext(layers) as layers:
                loss, outputs = self._step(images, labels, size)
            losses.append(loss)
            correct += num_correct(outputs, labels)
            self.on_step()
        # The only point at which the CPU waits for the GPU.
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
        """Train on this worker's share of a batch of `size`; return its part of the batch's loss, and the outputs."""
        with memory.kept(self.config.memory):
            outputs = run_network(self.model, self.dataset.to_input(images, self.config.T), self.config)
        outputs = outputs.to(images.dtype)
        loss = self._loss(outputs, labels, size)
        self.optimizer.zero_grad(set_to_none=True)
        with errors_of_model(self.config, self.model):
            torch.autograd.backward(self.scaler.scale(loss))
        self.workers.sum_gradients(self.model.parameters())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach(), outputs.detach()

    def _loss(self, outputs: Tensor, labels: Tensor, size: int) -> Tensor:
        """Return this worker's part of the mean loss over the batch."""
        if len(labels) == size:
            return self.loss(outputs, labels)
        if not len(labels):  # zero gradients, so that this worker takes part in the all-reduce of the other workers
            return outputs.sum()
        return self.loss(outputs, labels) * (len(labels) / size)

    def check_finite(self, number: int) -> None:
        """Check the weights, buffers and the optimiser's state after an epoch.

        Raises:
            FloatingPointError: If one of them is not finite; the message names it.
        """
        names = [name for name, _ in self.model.named_parameters()]
        state = self.optimizer.state_dict()
        check_trained(checked_tensors(self.model.state_dict(), state, names, self._constants), number)

    def measure(self) -> Measured:
        """Measure the test set and, if there is one, the validation set.

        Returns:
            The metrics of both, and which test samples are classified correctly.
        """
        measured = {
            name: measure_samples(self.model, self.dataset, split, self.config, self.on_step, self.workers)
            for name, split in self.splits.items()
        }
        metrics = {f"{name}/{key}": value for name, each in measured.items() for key, value in each.metrics.items()}
        return Measured(metrics, measured["test"].is_correct)

    def energy(self) -> dict[str, float]:
        """Return the estimated energy of an image of the validation set, in J."""
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
