"""The spec that a user posts, as a tree of immutable models.

Names, fields, defaults and limits of training come from `tet_core.config`; this module adds the parts of an experiment:
arms, stages, seeds, resources. It loads neither torch nor any web library.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from service.errors import FieldError, SpecInvalid
from service.spec.blocks import ArmPair, Limits, Resources, Retention, StartPoint, Webhook
from service.spec.checks import cross_faults
from service.spec.faults import faults_of
from service.spec.posted import posted_faults
from service.spec.search import EarlyStopping, Search
from service.spec.seed_range import Seeds, SeedsUntil
from tet_core.config import (
    AnalysisConfig,
    Augmentation,
    BatchSize,
    Config,
    DatasetConfig,
    Energy,
    Inherit,
    Landscape,
    LossConfig,
    Memory,
    ModelConfig,
    NeuronConfig,
    NumEpochs,
    NumSteps,
    OptimizerConfig,
    Precision,
    ScheduleConfig,
    SurrogateConfig,
    SyncNorm,
    TimeSweep,
    TrainConfig,
    TrainPart,
    Validation,
)

MAX_NAME_LENGTH = 80
MAX_ARMS = 1_000
MAX_STAGES = 100
MAX_PAIRS = 1_000
# Maximum number of faults that an answer lists: with more faults, the answer would be longer than the spec.
MAX_FAULTS = 500


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    if "/" in text:
        raise ValueError("must hold no '/'; spaces and Unicode are accepted")
    return text


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_name)]


class Overrides(Config):
    """The settings of `tet_core.config.Training`, each optional: null means "as at the level above"."""

    optimizer: OptimizerConfig | None = None
    schedule: ScheduleConfig | None = None
    batch_size: BatchSize | None = None
    augmentation: Augmentation | None = Field(None, description="Null at every level: the data set's own augmentation.")
    precision: Precision | None = None
    memory: Memory | None = None
    sync_norm: SyncNorm | None = None
    neuron: NeuronConfig | None = None
    surrogate: SurrogateConfig | None = None


class TrainStage(Overrides):
    """Training at one T with one loss for some epochs, from the weights of the stage before."""

    kind: Literal["train"]
    T: NumSteps
    epochs: NumEpochs
    loss: LossConfig
    inherit: Inherit = Field(
        "weights", description="'weights': new optimiser and schedule; 'all': both continue from the stage before."
    )


# An analysis reads the weights of the train stage before it, and changes nothing.
Stage = Annotated[TrainStage | TimeSweep | Landscape | Energy, Field(discriminator="kind")]
# The configuration that one stage of one chain runs with.
StageConfig = TrainConfig | AnalysisConfig


class Arm(Overrides):
    """A method under comparison: a name, and its stages in order."""

    name: Name
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES)]
    start: StartPoint | None = Field(None, description="Start point of its chains; null: that of the experiment.")


class Experiment(Overrides):
    """A spec: arms under comparison, each run at every seed."""

    name: Name
    description: Annotated[str, Field(max_length=10_000)] = ""
    labels: Annotated[dict[Name, Annotated[str, Field(max_length=1_000)]], Field(max_length=100)] = Field({})
    dataset: DatasetConfig
    model: ModelConfig
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, max_length=MAX_ARMS)]
    baseline: str | None = Field(
        None, description="Name of the arm that the others are compared with; null: the first."
    )
    compare: Annotated[tuple[ArmPair, ...], Field(min_length=1, max_length=MAX_PAIRS)] | None = Field(
        None, description="The pairs of arms to compare; null: every arm with the baseline."
    )
    margin: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The largest difference in accuracy that does not count, a fraction: two arms that differ by less "
        "are equivalent. Null: equivalence is not tested.",
    )
    seeds: Seeds = Field(description="A list of seeds, or a range of seeds that ends once the arms are decided.")
    search: Search | None = Field(
        None, description="Try each arm at many settings; null: only at the settings of this spec."
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="In a search, end configurations that are worse than others by val/accuracy; null: end none."
    )
    resources: Resources = Resources()
    limits: Limits = Limits()
    priority: int = Field(0, ge=-100, le=100, description="In the queue, a higher priority goes first.")
    start: StartPoint | None = Field(None, description="Start point of all chains; null: fresh weights.")
    retention: Retention = Retention()
    webhook: Webhook | None = None
    validation: Validation = 0.0
    train_part: TrainPart = 1.0
    deterministic: bool = Field(True, description="Use deterministic kernels, so that GPUs repeat results to the bit.")

    @property
    def baseline_arm(self) -> str:
        """Name of the arm that the others are compared with."""
        return self.arms[0].name if self.baseline is None else self.baseline

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed that the experiment may run; the last ones are left out if the arms are decided before."""
        return self.seeds.numbers() if isinstance(self.seeds, SeedsUntil) else self.seeds

    @property
    def until(self) -> SeedsUntil | None:
        """The range of seeds and the goal of an experiment that runs until its arms are decided; None for a list."""
        return self.seeds if isinstance(self.seeds, SeedsUntil) else None

    @property
    def pairs(self) -> tuple[ArmPair, ...]:
        """The pairs of arms that are compared: those of `compare`, or every other arm with the baseline."""
        if self.compare is not None:
            return self.compare
        to = self.baseline_arm
        return tuple(ArmPair(arm=arm.name, to=to) for arm in self.arms if arm.name != to)


def parse_posted(raw: object) -> Experiment:
    """Make an experiment from what a user posts, as `parse` does, and with the checks that older versions did not make.

    Raises:
        SpecInvalid: The spec has faults.
    """
    return parse(raw, also=posted_faults(raw))


def parse(raw: object, *, also: Sequence[FieldError] = ()) -> Experiment:
    """Make an experiment from plain data, as read from JSON or YAML.

    Nothing is converted: `"4"`, `4.0` and `true` are no integers, but an integer is accepted as a float. Sequences may
    be lists or tuples.

    Args:
        raw: The data of a stored spec, or of a posted one. For a posted one, `also` has the faults of `posted_faults`.
        also: Faults that the caller has found; they are reported together with those found here.

    Raises:
        SpecInvalid: The spec has faults; the error holds all of them, also those between fields.
    """
    experiment: Experiment | None = None
    faults: list[FieldError] = []
    total = 0
    try:
        experiment = Experiment.model_validate(_frozen(raw), strict=True)
    except ValidationError as error:
        faults, total = faults_of(Experiment, error, limit=MAX_FAULTS)
    # For the same text, the fault that the caller has found says more than the fault of pydantic.
    known = {fault.pointer for fault in also}
    others = [fault for fault in faults if fault.pointer not in known]
    faults, total = others, total - len(faults) + len(others)
    crossing = [*also, *cross_faults(raw)]
    if experiment is not None and not crossing:
        return experiment
    raise SpecInvalid((faults + crossing)[:MAX_FAULTS], total=total + len(crossing))


def _frozen(value: object) -> object:
    """Turn lists into tuples, since strict validation accepts nothing else as a tuple."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return value
