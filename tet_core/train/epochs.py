"""Training one stage, one epoch at a time."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed import ProcessGroup

from tet_core import environment
from tet_core.checkpoint import FORMAT, snapshot, weights_sha256
from tet_core.config import TrainConfig
from tet_core.data import check_reader, load_dataset, with_all_fields
from tet_core.distributed import Workers
from tet_core.errors import CheckpointError, ConfigError, EnvironmentMismatch
from tet_core.measure.layer_health import LayerHealth
from tet_core.models.convolution import convolution_record
from tet_core.train.stage import Stage, StageStart

# Name of a field of the environment's record: the bits depend on the number of workers.
NUM_WORKERS = "num_workers"
# Values of config fields that older checkpoints lack: the version that wrote them had no other value.
_BEFORE = {"sync_norm": True, "train_part": 1.0}


@dataclass(frozen=True)
class Epoch:
    """The outcome of one epoch.

    Attributes:
        number: The epoch, from 1 within its stage.
        epochs: How many epochs the stage has.
        metrics: `train/`, `test/` and, with a validation set, `val/` metrics (accuracies as fractions, losses
            averaged over samples), `epoch_time_s` (seconds of the training pass only) and `samples_per_s`.
        is_correct: `[N]`, bool, on the CPU: which test samples the network classifies correctly, in the test set's
            order, with any number of workers.
        layers: The health of each layer of spiking neurons on the first samples of the last whole batch, as
            `tet_core.measure.layer_health.watched` gives it; empty unless `with_layers` asked for it.
    """

    number: int
    epochs: int
    metrics: dict[str, float]
    is_correct: Tensor = field(repr=False)
    _checkpoint: dict[str, Any] = field(repr=False)
    layers: dict[str, LayerHealth] = field(default_factory=dict)

    def checkpoint(self) -> dict[str, Any]:
        """Return the checkpoint of this epoch; a training that continues from it gives the same bits."""
        return self._checkpoint

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of the weights and buffers after this epoch."""
        return weights_sha256(self._checkpoint)


class Epochs(Iterator[Epoch]):
    """An iterator over the epochs of a stage that are not trained yet; each `next` trains one epoch.

    Attributes:
        start: The state that the first of these epochs starts from.
    """

    def __init__(self, start: StageStart, epochs: Iterator[Epoch]) -> None:
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
    """Train a stage, one epoch at a time.

    torch's threads and determinism flags are set while an epoch runs, and restored between epochs.

    Several workers train a stage together if each calls this with the same config and their process group.
    `config.batch_size` counts the samples of all workers, so the experiment is the same with any number of workers. All
    workers get the same metrics and weights; worker 0 writes the files.

    Args:
        config: The stage.
        initial: Checkpoint of the chain's stage before. Its weights are loaded; with `config.inherit` = "all" the
            optimiser's state too.
        resume: Checkpoint of this stage; training continues at the epoch after it.
        data_root: As for `load_dataset`.
        on_step: Called after every trained or measured batch, and while files are checked before the first. If it
            raises an error, training stops with that error.
        with_layers: Whether worker 0's epochs have the health of the layers too; the training gives the same bits.
        with_energy: Whether each epoch's metrics have `val/energy_j` too, the estimated energy of an image in J, from
            validation samples; see `tet_core.measure.energy.energy_j`. The training gives the same bits.
        group: The workers that share the stage; `initial` and `resume` are taken from worker 0. None: this process
            alone.

    Returns:
        An iterator over the remaining epochs; it is empty if `resume` is of the last epoch.

    Raises:
        ConfigError: If the device is missing, a split leaves no samples, the model does not fit the data, or the energy
            is asked for without a validation set.
        CheckpointError: If `resume` is of another config (the message has the differences), or a checkpoint does
            not fit the network or the optimiser.
        EnvironmentMismatch: If `resume` was made in another environment, or with another reader of image files that
            gives other pixels; the message has the differences.
        DataError: If the data set is missing or damaged.
        EntryPointError: If the code behind an entry point fails; while iterating too.
        FloatingPointError: While iterating, if a loss, a metric, a weight or the optimiser's state is not finite; the
            message has epoch and value. At once, if the weights of `initial` or `resume` are not finite, or the
            optimiser's state that is loaded.
        WorkersDifferError: If the workers' configs, environments or data differ.
        WorkersApartError: If a worker is lost; while iterating too.
    """
    if with_energy and config.validation == 0:
        raise ConfigError(
            "validation", 0, "it must be above 0 if with_energy is True: the energy is measured on validation samples"
        )
    config, workers = environment.resolve_precision(config), Workers.of(group)
    record = environment.record_of(config) | {NUM_WORKERS: workers.num}
    workers.check_alike("the config", config.model_dump(mode="json"))
    workers.check_alike("the environment", record)
    initial, resume = workers.from_first((initial, resume))
    with environment.applied(config):
        dataset = load_dataset(config.dataset, data_root, T=config.T, on_step=on_step)
        stage = Stage(config, dataset, on_step or _nothing, workers)
        record |= convolution_record(stage.model, environment.device(config))
        start = 0
        if resume is not None:
            _check_same(resume, config, record)
            check_reader(resume["environment"], config.dataset, data_root, on_step=on_step)
            stage.take_over(resume, with_optimizer=True)
            start = resume["epoch"]
        elif initial is not None:
            stage.take_over(initial, with_optimizer=config.inherit == "all")
    stage_start = stage.describe_start(record)
    workers.check_alike("the start", (stage_start.initial_sha256, stage_start.dataset["digest"]))
    return Epochs(stage_start, _run(stage, config, record, start, with_layers and workers.rank == 0, with_energy))


def _nothing() -> None:
    """Do nothing after a batch: the default of `on_step`."""


def _run(
    stage: Stage,
    config: TrainConfig,
    record: environment.EnvironmentRecord,
    start: int,
    with_layers: bool,
    with_energy: bool,
) -> Iterator[Epoch]:
    for number in range(start + 1, config.epochs + 1):
        with environment.applied(config):
            metrics, layers = stage.train_epoch(number, with_layers)
            measured = stage.measure()
            metrics |= measured.metrics | (stage.energy() if with_energy else {})
            _check_finite_metrics(metrics, number)
            if stage.workers.are_many:
                # Without this check, weights that differ between workers would enter the checkpoint unnoticed.
                stage.workers.check_alike(f"the hash after epoch {number}", weights_sha256(stage.model.state_dict()))
            # After the last exchange of the epoch, so that no worker waits for one that has stopped.
            stage.check_finite(number)
            checkpoint = {
                "format": FORMAT,
                "config": config.model_dump(mode="json"),
                "environment": dict(record),
                "epoch": number,
                "model": snapshot(stage.model.state_dict()),
                "optimizer": snapshot(stage.optimizer.state_dict()),
                "scaler": stage.scaler.state_dict(),
                "metrics": dict(metrics),
                "data": stage.data,
            }
        yield Epoch(number, config.epochs, metrics, measured.is_correct, checkpoint, layers)


def _check_finite_metrics(metrics: Mapping[str, float], epoch: int) -> None:
    """Check the metrics too: the last step of an epoch can break a network whose losses were finite until then."""
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} after epoch {epoch}; a lower learning rate may help")


def _of_a_worker(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environment.without_reader(record).items() if name != NUM_WORKERS}


def _check_same(resume: Mapping[str, Any], config: TrainConfig, record: environment.EnvironmentRecord) -> None:
    saved = _BEFORE | resume["config"]
    saved["dataset"] = with_all_fields(saved["dataset"])
    lines = environment.differences(saved, config.model_dump(mode="json"))
    if lines:
        raise CheckpointError(f"the checkpoint is of another config: {'; '.join(lines)}")
    # Another number of workers gives other bits too, but the experiment is the same, so it may continue.
    lines = environment.differences(_of_a_worker(resume["environment"]), _of_a_worker(record))
    if lines:
        raise EnvironmentMismatch(
            f"the checkpoint was made in another environment, so continuing would not give the same bits: "
            f"{'; '.join(lines)}"
        )
