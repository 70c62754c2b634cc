"""What a training stage can be asked for: names, fields, defaults and limits.

This module loads no torch, so that a service can check a spec without it. The classes here are the only
place where a limit or a default is written down; everything else reads them.

Source: Deng et al., "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting",
ICLR 2022; defaults are those of the paper's experiments on CIFAR.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_T = 1_000
MAX_EPOCHS = 100_000
MAX_BATCH_SIZE = 65_536
MAX_SEED = 2**31 - 1

Precision = Literal["float32", "float64", "bfloat16"]
NumSteps = Annotated[int, Field(ge=1, le=MAX_T, description="How many time steps the network is run for.")]
NumEpochs = Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Validation = Annotated[float, Field(ge=0, lt=1, description="Share of the training set kept aside to choose by.")]
Inherit = Literal["weights", "all"]


class Config(BaseModel):
    """Base of every configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SdtLoss(Config):
    """Standard direct training: cross-entropy of the time-mean output (Eq. 7)."""

    name: Literal["sdt"] = "sdt"


class TetLoss(Config):
    """Temporal efficient training: (1 - lamb) * L_TET + lamb * L_MSE (Eq. 9, 12, 13)."""

    name: Literal["tet"] = "tet"
    lamb: float = Field(0.05, ge=0, le=1, description="Weight of the regulariser (lambda in Eq. 13).")
    phi: float = Field(1.0, description="Level the regulariser pulls every output to (phi in Eq. 12).")


LossConfig = Annotated[SdtLoss | TetLoss, Field(discriminator="name")]


class NeuronConfig(Config):
    """The leaky integrate-and-fire neuron with hard reset (Eq. 1-3)."""

    name: Literal["lif"] = "lif"
    tau: float = Field(0.5, ge=0, le=1, description="Decay factor of the potential at each step (no time constant).")
    v_threshold: float = Field(1.0, gt=0, le=1e6, description="The neuron fires when u is strictly above it.")


class SurrogateConfig(Config):
    """The triangle surrogate gradient (Eq. 5)."""

    name: Literal["triangle"] = "triangle"
    gamma: float = Field(1.0, gt=0, le=1e6, description="Half the width of the triangle's base.")


class AdamConfig(Config):
    """Adam; the paper's optimiser."""

    name: Literal["adam"] = "adam"
    lr: float = Field(1e-3, gt=0, le=1e3)
    weight_decay: float = Field(0.0, ge=0, le=1e3)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)


class SgdConfig(Config):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: float = Field(0.1, gt=0, le=1e3)
    weight_decay: float = Field(0.0, ge=0, le=1e3)
    momentum: float = Field(0.9, ge=0, lt=1)


OptimizerConfig = Annotated[AdamConfig | SgdConfig, Field(discriminator="name")]


class ScheduleConfig(Config):
    """Learning rate by epoch: `cosine` falls from `lr` to `lr_min`; `constant` stays at `lr`."""

    name: Literal["cosine", "constant"] = "cosine"
    lr_min: float = Field(0.0, ge=0, le=1e3)


class Crop(Config):
    """Zero-pad every side by `padding` pixels, then crop back at a random place."""

    name: Literal["crop"] = "crop"
    padding: int = Field(4, ge=1, le=64)


class Flip(Config):
    """Mirror left and right with probability `p`."""

    name: Literal["flip"] = "flip"
    p: float = Field(0.5, ge=0, le=1)


AugmentationStep = Annotated[Crop | Flip, Field(discriminator="name")]
Augmentation = Annotated[tuple[AugmentationStep, ...], Field(max_length=16)]


class DatasetCard(Config):
    """What is known of a data set without loading it."""

    num_classes: int
    in_channels: int
    input_size: int
    num_train: int
    num_test: int
    augmentation: tuple[AugmentationStep, ...] = ()


DATASETS: dict[str, DatasetCard] = {
    # 1,797 scans; the last fifth of each class is the test set (see tet_core.data.digits).
    "digits": DatasetCard(
        num_classes=10, in_channels=1, input_size=8, num_train=1442, num_test=355, augmentation=(Crop(padding=1),)
    ),
    "fashion_mnist": DatasetCard(
        num_classes=10,
        in_channels=1,
        input_size=28,
        num_train=60_000,
        num_test=10_000,
        augmentation=(Crop(padding=2), Flip()),
    ),
}


class DatasetConfig(Config):
    """A data set, by name."""

    name: Literal["digits", "fashion_mnist"]


class Tdbn(Config):
    """Threshold-dependent batch normalisation: statistics over time and batch, weight alpha * v_threshold at first."""

    name: Literal["tdbn"] = "tdbn"
    alpha: float = Field(1.0, gt=0, le=1e3)


class VggSmall(Config):
    """Four convolutions and one linear layer, for inputs from 8x8 up."""

    name: Literal["vgg_small"] = "vgg_small"
    width: int = Field(32, ge=1, le=1024, description="Channels of the first two convolutions; the next two: twice.")
    norm: Tdbn = Tdbn()


class VggSnn(Config):
    """The paper's VGGSNN for DVS-CIFAR10: eight convolutions, four average pools, one linear layer."""

    name: Literal["vggsnn"] = "vggsnn"
    norm: Tdbn = Tdbn()


ModelConfig = Annotated[VggSmall | VggSnn, Field(discriminator="name")]

# The smallest input side (pixels) each model takes: vgg_small halves it twice, vggsnn four times.
MIN_INPUT_SIZE = {"vgg_small": 8, "vggsnn": 16}


class Training(Config):
    """How a stage is trained; the spec's top level, an arm and a stage may each set any of these."""

    optimizer: OptimizerConfig = AdamConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch_size: BatchSize = 128
    augmentation: Augmentation = ()
    precision: Precision = "float32"
    neuron: NeuronConfig = NeuronConfig()
    surrogate: SurrogateConfig = SurrogateConfig()


class TrainConfig(Training):
    """One training stage with everything resolved: all that `tet_core.fit` needs to know.

    `epoch_offset` counts the chain's epochs before this stage: random draws are keyed by the chain's epoch, so that
    all arms of a seed see the same data order and augmentation. `schedule_epochs` and `schedule_offset` place the
    stage within its schedule: stages joined by `inherit: all` share one.
    """

    dataset: DatasetConfig
    model: ModelConfig
    T: NumSteps
    epochs: NumEpochs
    loss: LossConfig
    seed: Seed = 0
    inherit: Inherit = "weights"
    validation: Validation = 0.0
    deterministic: bool = True
    device: Literal["cpu", "cuda"] = "cpu"
    num_threads: int = Field(1, ge=1, le=1024)
    epoch_offset: int = Field(0, ge=0)
    schedule_offset: int = Field(0, ge=0)
    schedule_epochs: int | None = Field(None, ge=1, description="Length of the schedule; None: this stage's epochs.")
