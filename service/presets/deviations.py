"""Every deviation of an experiment from the preset that it was posted with, whether or not a number depends on it."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.presets.catalogue import Preset
from service.presets.recipe import NONE, Difference, as_text, differences_from
from service.spec.experiment import Arm, Experiment, TrainStage, parse
from service.spec.merge import differing

# The parts of a spec that say nothing about what is computed: words for people, and the service's handling of it.
_ASIDE = frozenset({"name", "description", "labels", "webhook", "priority", "retention", "limits"})
# The parts that the recipe of each arm contains, so that a difference is found there, arm by arm.
_IN_RECIPE = frozenset(
    {
        "arms",
        "dataset",
        "model",
        "optimizer",
        "schedule",
        "batch_size",
        "augmentation",
        "precision",
        "memory",
        "sync_norm",
        "neuron",
        "surrogate",
        "search",
        "start",
        "validation",
        "train_part",
    }
)


def deviations_from(preset: Preset, spec: Experiment) -> dict[str, list[Difference]]:
    """Return the deviations by arm; those of the whole experiment have the empty name.

    Args:
        preset: The preset.
        spec: The experiment's spec.
    """
    original = parse(preset.spec)
    found = {"": [*_of_experiment(spec, original)]}
    found |= {arm: list(each) for arm, each in differences_from(preset, spec).items()}
    originals = {arm.name: arm for arm in original.arms}
    for arm in spec.arms:
        if arm.name in originals:
            found[arm.name] += _of_analyses(arm, originals[arm.name])
    return {arm: each for arm, each in found.items() if each}


def _of_experiment(spec: Experiment, original: Experiment) -> Iterator[Difference]:
    names, of_preset = ([arm.name for arm in each.arms] for each in (spec, original))
    if names != of_preset:
        yield Difference("arms", ", ".join(names), ", ".join(of_preset))
    skipped = _ASIDE | _IN_RECIPE
    here, there = (each.model_dump(mode="json", exclude=set(skipped)) for each in (spec, original))
    for place, value, other in differing(here, there):
        yield Difference(place, as_text(value), as_text(other))


def _of_analyses(arm: Arm, original: Arm) -> Iterator[Difference]:
    analyses, of_preset = ([_dumped(stage) for stage in each.stages if not _trains(stage)] for each in (arm, original))
    if analyses != of_preset:
        yield Difference("analyses", _listed(analyses), _listed(of_preset))


def _trains(stage: object) -> bool:
    return isinstance(stage, TrainStage)


def _dumped(stage: Any) -> Mapping[str, Any]:
    values: Mapping[str, Any] = stage.model_dump(mode="json")
    return values


def _listed(analyses: list[Mapping[str, Any]]) -> str:
    return as_text(analyses) if analyses else NONE
