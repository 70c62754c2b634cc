"""The differences between an experiment and the preset that it was made from.

A published number belongs to a recipe: a data set, a network and all else that changes what is trained. So it is shown
beside a measured number only if the arm has the recipe of the preset. The two resolved recipes are compared, with all
defaults. So it does not matter how a change came into the spec, or which version stored the spec.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.presets.catalogue import Preset
from service.spec.experiment import Arm, Experiment, StageConfig, TrainStage, parse
from service.spec.merge import differing
from service.spec.resolving import resolve_stage
from tet_core.config import ImageNet, ReluConfig, TrainConfig

# Fields of a training that do not change what is trained: they set the random draws, the machine or its kernels. The
# last three follow from other fields, which are compared.
NO_PART = frozenset(
    {"seed", "device", "num_threads", "memory", "deterministic", "epoch_offset", "schedule_offset", "schedule_epochs"}
)
NONE = "none"


@dataclass(frozen=True)
class Difference:
    """A place of the spec at which an experiment differs from its preset, with the two values as text."""

    place: str
    value: str
    of_preset: str


def differences_from(preset: Preset, spec: Experiment) -> dict[str, list[Difference]]:
    """Return how each arm differs from the preset's arm with the same name; other arms are left out."""
    original = parse(preset.spec)
    places = {arm.name: index for index, arm in enumerate(original.arms)}
    return {
        arm.name: list(_of_arm(spec, index, original, places[arm.name]))
        for index, arm in enumerate(spec.arms)
        if arm.name in places
    }


def test_set_differences(preset: Preset, num_samples: int | None) -> list[Difference]:
    """Return the difference if a test set is not whole: a selection of a data set's files has the data set's name too.

    Args:
        preset: The preset.
        num_samples: The number of test samples of the experiment; None if it is not known.
    """
    whole = parse(preset.spec).dataset.card().num_test
    if num_samples is None or whole is None or num_samples == whole:
        return []
    return [Difference("the number of test samples", f"{num_samples:,}", f"{whole:,}")]


def _of_arm(spec: Experiment, index: int, original: Experiment, original_index: int) -> Iterator[Difference]:
    arm, original_arm = spec.arms[index], original.arms[original_index]
    if spec.search is not None and original.search is None:
        yield Difference("search", spec.search.method, NONE)
    start = arm.start or spec.start
    if start is not None and (original_arm.start or original.start) is None:
        yield Difference("start", f"experiment {start.experiment}", NONE)
    stages, original_stages = _train_stages(arm), _train_stages(original_arm)
    if len(stages) != len(original_stages):
        yield Difference("the number of train stages", str(len(stages)), str(len(original_stages)))
        return
    seen: set[Difference] = set()
    for number, original_number in zip(stages, original_stages, strict=True):
        both = resolve_stage(spec, index, number, 0), resolve_stage(original, original_index, original_number, 0)
        config, original_config = (_recipe(each, spec.resources.workers_per_trial) for each in both)
        for place, value, of_preset in differing(config, original_config):
            of_stage = f"stages[{number}].{place}" if len(stages) > 1 and _may_differ_by_stage(place) else place
            difference = Difference(of_stage, as_text(value), as_text(of_preset))
            if difference not in seen:
                seen.add(difference)
                yield difference


def _train_stages(arm: Arm) -> list[int]:
    return [index for index, stage in enumerate(arm.stages) if isinstance(stage, TrainStage)]


def _recipe(config: StageConfig, num_workers: int) -> dict[str, Any]:
    """Return what a train stage trains, without the fields that have no part in it."""
    assert isinstance(config, TrainConfig)
    values = config.model_dump(mode="json", exclude=set(NO_PART))
    if num_workers == 1:
        del values["sync_norm"]  # with one worker it makes no difference
    if isinstance(config.dataset, ImageNet):
        del values["dataset"]["folder"]  # the folder does not change what the files contain
    if isinstance(config.neuron, ReluConfig):
        del values["surrogate"]  # ReLUs have none
    return values


def _may_differ_by_stage(place: str) -> bool:
    return place.partition(".")[0] not in ("dataset", "model", "validation", "train_part")


def as_text(value: Any) -> str:
    """Return a value of a spec in one line, for people."""
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, Mapping) and "name" in each for each in value):
        return f"[{', '.join(_block_as_text(each) for each in value)}]"
    return json.dumps(value, ensure_ascii=False)


def _block_as_text(block: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key} {as_text(value)}" for key, value in block.items() if key != "name")
    return f"{block['name']} ({settings})" if settings else str(block["name"])
