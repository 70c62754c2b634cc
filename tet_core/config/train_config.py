"""The settings of a training stage, with everything resolved."""

from typing import Literal

from pydantic import Field

from tet_core.config.augmentation import Augmentation
from tet_core.config.datasets import DatasetConfig
from tet_core.config.losses import LossConfig
from tet_core.config.models import ModelConfig
from tet_core.config.neurons import LifConfig, NeuronConfig, SurrogateConfig, TriangleConfig
from tet_core.config.optimizers import AdamConfig, OptimizerConfig, ScheduleConfig
from tet_core.config.shared import (
    BatchSize,
    Config,
    Inherit,
    Memory,
    NumEpochs,
    NumSteps,
    Precision,
    Seed,
    SyncNorm,
    TrainPart,
    Validation,
)


class Training(Config):
    """The settings of a training that the spec's top level, an arm and a stage may each set."""

    optimizer: OptimizerConfig = AdamConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch_size: BatchSize = 128
    augmentation: Augmentation = ()
    precision: Precision = "float32"
    memory: Memory = "fast"
    sync_norm: SyncNorm = True
    neuron: NeuronConfig = LifConfig()
    surrogate: SurrogateConfig = TriangleConfig()


class TrainConfig(Training):
    """One training stage with everything resolved: all settings that `tet_core.fit` needs.

    `epoch_offset` counts the chain's epochs before this stage: random draws are keyed by the chain's epoch, so that
    all arms of a seed see the same data order and augmentation. `schedule_epochs` and `schedule_offset` place the
    stage within its schedule: stages joined by `inherit: all` share one schedule.
    """

    dataset: DatasetConfig
    model: ModelConfig
    T: NumSteps
    epochs: NumEpochs
    loss: LossConfig
    seed: Seed = 0
    inherit: Inherit = "weights"
    validation: Validation = 0.0
    train_part: TrainPart = 1.0
    deterministic: bool = True
    device: Literal["cpu", "cuda"] = "cpu"
    num_threads: int = Field(1, ge=1, le=1024)
    epoch_offset: int = Field(0, ge=0)
    schedule_offset: int = Field(0, ge=0)
    schedule_epochs: int | None = Field(None, ge=1, description="Length of the schedule; None: this stage's epochs.")
