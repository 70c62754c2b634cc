"""The network under analysis, its data, and the rows that every analysis yields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tet_core import environment, seed
from tet_core.checkpoint import weights_sha256
from tet_core.config import TrainConfig
from tet_core.data import Dataset, Samples, load_dataset
from tet_core.errors import ConfigError
from tet_core.finite import check_loaded, infinite_buffers
from tet_core.measure.evaluation import measure_prefixes
from tet_core.models.convolution import convolution_record
from tet_core.network import build_network
from tet_core.train.stage import StageStart

Record = dict[str, str | int | float | bool | None]


@dataclass(frozen=True)
class Row:
    """A part of an analysis that depends on no other part: between rows an analysis can be stopped and resumed.

    Attributes:
        number: The row's number, from 1.
        step: The step of the row's metrics: T in a time sweep and an energy analysis, the row's number in a landscape.
        metrics: Finite numbers; their names start with the analysis's kind. `analyse` adds `row_time_s`.
        records: The row's lines of the table, as plain values; None stands for a number that is not finite.
    """

    number: int
    step: int
    metrics: dict[str, float]
    records: list[Record]


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that are finite numbers: far from a minimum a loss may overflow."""
    return {key: value for key, value in metrics.items() if isfinite(value)}


def finite_or_none(value: float) -> float | None:
    """Return a number, or None if it is not finite: the table is JSON, which has no infinity."""
    return value if isfinite(value) else None


class Subject:
    """The network of a checkpoint, in evaluation mode.

    Args:
        checkpoint: Checkpoint of a training stage.
        data_root: As for `load_dataset`.
        on_step: Called after every measured batch.

    Raises:
        FloatingPointError: If the checkpoint's weights are not finite.
    """

    def __init__(
        self, checkpoint: Mapping[str, Any], data_root: Path | None, on_step: Callable[[], None] | None = None
    ) -> None:
        self._on_step = on_step
        self.config = TrainConfig.model_validate(checkpoint["config"])
        self.data_root = data_root
        self.model = build_network(self.config)
        check_loaded(checkpoint, self.model, infinite_buffers(self.model))
        self.model.load_state_dict(checkpoint["model"])
        self.model.eval()

    def dataset(self, T: int) -> Dataset:
        """Return the data set for T steps: recordings of events are sliced again for every T, still images are not."""
        return load_dataset(self.config.dataset, self.data_root, T=T, on_step=self._on_step)

    def samples(self, dataset: Dataset, split: str, num_samples: int | None) -> Samples:
        """Return the samples to measure on, on the network's device.

        These are all samples of a split in file order, or `num_samples` of them. The draw depends only on the seed and
        the split, so all arms get the same samples.

        Raises:
            ConfigError: If there are fewer samples than asked for.
        """
        part = dataset.test if split == "test" else dataset.train
        if num_samples is not None and num_samples > len(part):
            raise ConfigError("num_samples", num_samples, f"the {split} set of {dataset.name} has {len(part)}")
        if num_samples is not None and num_samples < len(part):
            part = part.subset(seed.sample(self.config.seed, f"analysis {split}", len(part), num_samples))
        return part.to(environment.device(self.config))

    def measure(self, dataset: Dataset, samples: Samples, T: int) -> dict[str, float]:
        """Return `loss`, `loss_sdt`, `loss_tet` and `accuracy` at T steps, in the same batches as `evaluate`."""
        return self.measure_prefixes(dataset, samples, (T,))[T]

    def measure_prefixes(self, dataset: Dataset, samples: Samples, steps: Sequence[int]) -> dict[int, dict[str, float]]:
        """Return the metrics of `measure` at several T, in one pass; see `tet_core.measure.evaluation`."""
        return measure_prefixes(self.model, dataset, samples, self.config, steps, self._on_step)

    def describe_start(self) -> StageStart:
        """Return the hash of the analysed weights, the environment, the data set and the number of parameters."""
        dataset = self.dataset(self.config.T)
        num_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        sha256 = weights_sha256(self.model.state_dict())
        record = environment.record_of(self.config) | convolution_record(self.model, environment.device(self.config))
        return StageStart(sha256, record, dataset.facts, num_parameters)
