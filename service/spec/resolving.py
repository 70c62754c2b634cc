"""The resolution of a spec's stages: from the levels top, arm and stage to the configurations that stages run with."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from service.spec.experiment import Arm, Experiment, Overrides, StageConfig, TrainStage
from service.spec.merge import merged
from tet_core.config import AnalysisConfig, Augmentation, DatasetConfig, TrainConfig, Training


def resolve_stage(spec: Experiment, arm_index: int, stage_index: int, seed: int) -> StageConfig:
    """Return the full configuration of one stage of one chain.

    Args:
        spec: The experiment.
        arm_index: The index of the arm, from 0.
        stage_index: The index of the stage in the arm, from 0.
        seed: The chain's seed.

    Returns:
        The configuration of the training; for an analysis, its settings and the train stage before it.
    """
    return resolve_arm(spec, arm_index, seed)[stage_index]


def resolve_arm(spec: Experiment, arm_index: int, seed: int) -> tuple[StageConfig, ...]:
    """Return the full configuration of every stage of an arm; see `resolve_stage`."""
    arm = spec.arms[arm_index]
    trains = tuple(stage for stage in arm.stages if isinstance(stage, TrainStage))
    settings = _Settings(spec, arm)
    common = _of_every_stage(spec, seed)
    spans = _schedule_spans(trains)
    configs: list[StageConfig] = []
    train: TrainConfig | None = None
    number, epochs_before = 0, _epochs_before(arm)
    for stage in arm.stages:
        if not isinstance(stage, TrainStage):
            assert train is not None, "an analysis comes after a train stage"
            configs.append(AnalysisConfig(train=train, analysis=stage))
            continue
        offset, total = spans[number]
        own = {name: getattr(stage, name) for name in ("T", "epochs", "loss", "inherit")}
        placed = {"epoch_offset": epochs_before, "schedule_offset": offset, "schedule_epochs": total}
        train = TrainConfig.model_validate({**settings.of(stage), **common, **own, **placed})
        configs.append(train)
        number, epochs_before = number + 1, epochs_before + stage.epochs
    return tuple(configs)


def _of_every_stage(spec: Experiment, seed: int) -> dict[str, Any]:
    """Return the parts of a training that come from the spec's top level alone."""
    return {
        "dataset": spec.dataset,
        "model": spec.model,
        "seed": seed,
        "validation": spec.validation,
        "train_part": spec.train_part,
        "deterministic": spec.deterministic,
        "device": "cuda" if spec.resources.gpus_per_trial > 0 else "cpu",
        "num_threads": spec.resources.cpus_per_trial,
    }


class _Settings:
    """The settings of an arm's train stages: top level < arm < stage."""

    def __init__(self, spec: Experiment, arm: Arm) -> None:
        self._of_arm = resolve_training(spec.dataset, _own_settings(spec), _own_settings(arm))
        self._without_own: dict[str, Any] | None = None

    def of(self, stage: TrainStage) -> dict[str, Any]:
        """Return the settings of a stage, as models. All stages without settings of their own share one result."""
        own = _own_settings(stage)
        if not own and self._without_own is not None:
            return self._without_own
        settings = dict(Training.model_validate(merged(self._of_arm, own)))
        if not own:
            self._without_own = settings
        return settings


def _epochs_before(arm: Arm) -> int:
    """Return the number of epochs before the arm's start point: random draws are numbered over these epochs too."""
    return (arm.start.epochs or 0) if arm.start is not None else 0


def resolve_training(dataset: DatasetConfig, *levels: dict[str, Any]) -> dict[str, Any]:
    """Merge the settings of all levels, outermost first, over the defaults and the data set's augmentation."""
    return merged(_defaults(dataset.card().augmentation), *levels)


@lru_cache(maxsize=32)  # of the built-in augmentations; a search resolves thousands of arms with the same one
def _defaults(augmentation: Augmentation) -> dict[str, Any]:
    return Training(augmentation=augmentation).model_dump(mode="json")


def _own_settings(level: Overrides) -> dict[str, Any]:
    return level.model_dump(mode="json", include=set(Overrides.model_fields), exclude_unset=True)


def _schedule_spans(stages: Sequence[TrainStage]) -> list[tuple[int, int | None]]:
    """Return for each stage how many epochs of its schedule come before it, and the schedule's length in epochs.

    Stages joined by `inherit: all` share one schedule. The length is None if the stage has a schedule of its own.
    """
    joined: list[list[TrainStage]] = []
    for stage in stages:
        if stage.inherit == "all" and joined:
            joined[-1].append(stage)
        else:
            joined.append([stage])
    spans: list[tuple[int, int | None]] = []
    for of_schedule in joined:
        total = sum(stage.epochs for stage in of_schedule) if len(of_schedule) > 1 else None
        before = 0
        for stage in of_schedule:
            spans.append((before, total))
            before += stage.epochs
    return spans
