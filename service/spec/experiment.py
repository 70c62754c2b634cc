"""The spec: what a user posts, as a tree of immutable models, and how one stage of it is resolved.

Names, fields, defaults and limits of training come from `tet_core.config`; this module adds what an experiment
is made of (arms, stages, seeds, resources). It loads neither torch nor anything of the web.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from service.errors import FieldError, SpecInvalid
from service.spec.blocks import Limits, Resources, Retention, StartPoint, Webhook
from service.spec.checks import cross_faults
from service.spec.faults import faults_of
from service.spec.merge import merged
from service.spec.search import EarlyStopping, Search
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
    Seed,
    SurrogateConfig,
    SyncNorm,
    TimeSweep,
    TrainConfig,
    Training,
    TrainPart,
    Validation,
)

MAX_NAME_LENGTH = 80
MAX_ARMS = 1_000
MAX_STAGES = 100
MAX_SEEDS = 100_000
# One answer lists so many faults; a spec of more is broken throughout, and the answer would outgrow the spec.
MAX_FAULTS = 500


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    if "/" in text or re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        raise ValueError("must hold no '/' and no control characters; spaces and Unicode are fine")
    return text


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_name)]


class Overrides(Config):
    """The settings of `tet_core.config.Training`, each optional: None means "as the level above has it"."""

    optimizer: OptimizerConfig | None = None
    schedule: ScheduleConfig | None = None
    batch_size: BatchSize | None = None
    augmentation: Augmentation | None = Field(None, description="None at every level: the data set's own.")
    precision: Precision | None = None
    memory: Memory | None = None
    sync_norm: SyncNorm | None = None
    neuron: NeuronConfig | None = None
    surrogate: SurrogateConfig | None = None


class TrainStage(Overrides):
    """Train at one T with one loss for some epochs, going on from what the stage before left."""

    kind: Literal["train"]
    T: NumSteps
    epochs: NumEpochs
    loss: LossConfig
    inherit: Inherit = Field(
        "weights", description="'weights': new optimiser and schedule; 'all': both go on from the stage before."
    )


# An analysis reads what the train stage before it left, and changes nothing of it.
Stage = Annotated[TrainStage | TimeSweep | Landscape | Energy, Field(discriminator="kind")]
# What one stage of one chain runs with.
StageConfig = TrainConfig | AnalysisConfig


class Arm(Overrides):
    """One method under comparison: a name and the stages it goes through in order."""

    name: Name
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES)]
    start: StartPoint | None = Field(None, description="Where its chains start; None: as the experiment says.")


class Experiment(Overrides):
    """What a user posts: arms under comparison, each run for every seed."""

    name: Name
    description: Annotated[str, Field(max_length=10_000)] = ""
    labels: Annotated[dict[Name, Annotated[str, Field(max_length=1_000)]], Field(max_length=100)] = Field({})
    dataset: DatasetConfig
    model: ModelConfig
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, max_length=MAX_ARMS)]
    baseline: str | None = Field(None, description="Name of the arm the others are compared with; None: the first.")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS)]
    search: Search | None = Field(None, description="Try each arm at many settings; None: at those that stand here.")
    early_stopping: EarlyStopping | None = Field(
        None, description="Of a search: end configurations that do worse than others by val/accuracy; None: none."
    )
    resources: Resources = Resources()
    limits: Limits = Limits()
    priority: int = Field(0, ge=-100, le=100, description="In the queue, what has more goes first.")
    start: StartPoint | None = Field(None, description="Where all chains start; None: from fresh weights.")
    retention: Retention = Retention()
    webhook: Webhook | None = None
    validation: Validation = 0.0
    train_part: TrainPart = 1.0
    deterministic: bool = Field(True, description="Use deterministic kernels, so that GPUs repeat to the bit.")

    @property
    def baseline_arm(self) -> str:
        """Name of the arm that the others are compared with."""
        return self.arms[0].name if self.baseline is None else self.baseline


def parse(raw: object) -> Experiment:
    """Makes an experiment of plain data, as a JSON or YAML document gives it.

    Nothing is coerced: `"4"`, `4.0` and `true` are no integers (an integer is a fine float). Sequences may be
    lists or tuples.

    Raises:
        SpecInvalid: With every fault at once, those across fields too.
    """
    experiment: Experiment | None = None
    faults: list[FieldError] = []
    total = 0
    try:
        experiment = Experiment.model_validate(_frozen(raw), strict=True)
    except ValidationError as error:
        faults, total = faults_of(Experiment, error, limit=MAX_FAULTS)
    crossing = cross_faults(raw)
    if experiment is not None and not crossing:
        return experiment
    raise SpecInvalid((faults + crossing)[:MAX_FAULTS], total=total + len(crossing))


def resolve_stage(spec: Experiment, arm_index: int, stage_index: int, seed: int) -> StageConfig:
    """Settles everything one stage of one chain needs.

    Args:
        spec: The experiment.
        arm_index: Which arm, from 0.
        stage_index: Which of its stages, from 0.
        seed: The chain's seed.

    Returns:
        The training; of an analysis, its settings and the train stage before it.
    """
    arm = spec.arms[arm_index]
    stage = arm.stages[stage_index]
    if isinstance(stage, TrainStage):
        return _resolve_train(spec, arm, len(_trains(arm, stage_index)), seed)
    train = _resolve_train(spec, arm, len(_trains(arm, stage_index)) - 1, seed)
    return AnalysisConfig(train=train, analysis=stage)


def _trains(arm: Arm, before: int | None = None) -> tuple[TrainStage, ...]:
    """The arm's train stages, all of them or those before a stage: analyses count for no epoch and no schedule."""
    return tuple(stage for stage in arm.stages[:before] if isinstance(stage, TrainStage))


def _resolve_train(spec: Experiment, arm: Arm, number: int, seed: int) -> TrainConfig:
    """Settles the arm's train stage of this number, from 0: top level < arm < stage, then data set and schedule."""
    trains = _trains(arm)
    stage = trains[number]
    training = resolve_training(spec.dataset, *map(_own_settings, (spec, arm, stage)))
    offset, total = _schedule_span(trains, number)
    return TrainConfig.model_validate(
        {
            **training,
            "dataset": spec.dataset,
            "model": spec.model,
            "T": stage.T,
            "epochs": stage.epochs,
            "loss": stage.loss,
            "inherit": stage.inherit,
            "seed": seed,
            "validation": spec.validation,
            "train_part": spec.train_part,
            "deterministic": spec.deterministic,
            "device": "cuda" if spec.resources.gpus_per_trial > 0 else "cpu",
            "num_threads": spec.resources.cpus_per_trial,
            "epoch_offset": _epochs_before(arm) + sum(before.epochs for before in trains[:number]),
            "schedule_offset": offset,
            "schedule_epochs": total,
        }
    )


def _epochs_before(arm: Arm) -> int:
    """Epochs that its chains were trained elsewhere: random draws are numbered over them too."""
    return (arm.start.epochs or 0) if arm.start is not None else 0


def resolve_training(dataset: DatasetConfig, *levels: dict[str, Any]) -> dict[str, Any]:
    """Merges the settings of all levels, outermost first, over the defaults and the data set's augmentation."""
    defaults = Training(augmentation=dataset.card().augmentation).model_dump(mode="json")
    return merged(defaults, *levels)


def _own_settings(level: Overrides) -> dict[str, Any]:
    return level.model_dump(mode="json", include=set(Overrides.model_fields), exclude_unset=True)


def _schedule_span(stages: Sequence[TrainStage], index: int) -> tuple[int, int | None]:
    """Returns the epochs of this stage's schedule that lie before it, and the schedule's length (None: its own)."""
    start = index
    while start > 0 and stages[start].inherit == "all":
        start -= 1
    joined = [stages[start], *takewhile(lambda stage: stage.inherit == "all", stages[start + 1 :])]
    if len(joined) == 1:
        return 0, None
    return sum(stage.epochs for stage in stages[start:index]), sum(stage.epochs for stage in joined)


def _frozen(value: object) -> object:
    """Turns lists into tuples: strict validation takes nothing else for a tuple."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return value
