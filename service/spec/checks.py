"""Checks across the fields of a spec, on plain data.

pydantic skips the checks of a whole model once one of its fields has failed, but a user wants every fault in one
answer. So these checks read the plain data. They skip malformed fields, because pydantic reports those.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.errors import FieldError
from service.spec.raw import dataset_of, items, levels_of, name_of, num_seeds_of
from service.spec.search_checks import search_faults
from service.spec.stage_checks import stage_faults
from service.spec.until_checks import until_faults
from tet_core.config import FOR_STILL_IMAGES, ModelConfig, misfit

MAX_CHAINS = 100_000
# Maximum number of faults that one check finds: an answer lists only 500, and a document may have half a million.
MAX_COUNTED = 10_000
_MODEL: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


def cross_faults(raw: object) -> list[FieldError]:
    """Return the faults of `raw` that only several fields together show."""
    if not isinstance(raw, dict):
        return []
    checks = (
        _doubled_arms,
        _doubled_seeds,
        _baseline,
        _pairs,
        _input_size,
        _events_fit_the_augmentation,
        _learnable_tau,
        _num_chains,
        stage_faults,
        _health,
        _workers,
        search_faults,
        until_faults,
    )
    return [fault for check in checks for fault in islice(check(raw), MAX_COUNTED)]


def _doubled_arms(raw: dict[str, Any]) -> Iterator[FieldError]:
    first: dict[str, int] = {}
    for index, arm in items(raw, "arms"):
        name = name_of(arm)
        if name is None:
            continue
        if name in first:
            detail = f"must differ from the names of all other arms; arms[{first[name]}] has the same name"
            yield FieldError.at(("arms", index, "name"), name, detail)
        first.setdefault(name, index)


def _doubled_seeds(raw: dict[str, Any]) -> Iterator[FieldError]:
    first: dict[int, int] = {}
    for index, seed in items(raw, "seeds"):
        if type(seed) is not int:
            continue
        if seed in first:
            detail = f"must differ from all other seeds; seeds[{first[seed]}] is the same"
            yield FieldError.at(("seeds", index), seed, detail)
        first.setdefault(seed, index)


def _baseline(raw: dict[str, Any]) -> Iterator[FieldError]:
    baseline, names = raw.get("baseline"), _names_of_arms(raw)
    if isinstance(baseline, str) and baseline not in names:
        yield FieldError.at(("baseline",), baseline, _must_be_an_arm(names))


def _pairs(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Check that `compare` names two different arms in each pair, and no pair twice, in any order."""
    names = _names_of_arms(raw)
    first: dict[frozenset[str], int] = {}
    for index, pair in items(raw, "compare"):
        arm, to = (pair.get(key) if isinstance(pair, dict) else None for key in ("arm", "to"))
        if not isinstance(arm, str) or not isinstance(to, str):
            continue
        unknown = [(key, name) for key, name in (("arm", arm), ("to", to)) if name not in names]
        for key, name in unknown:
            yield FieldError.at(("compare", index, key), name, _must_be_an_arm(names))
        if arm == to and not unknown:
            yield FieldError.at(("compare", index, "to"), to, "must be another arm than 'arm'")
        if (before := first.setdefault(frozenset((arm, to)), index)) != index:
            yield FieldError.at(("compare", index), f"{arm} and {to}", f"must differ from compare[{before}]")


def _names_of_arms(raw: dict[str, Any]) -> dict[str, None]:
    return dict.fromkeys(name for _, arm in items(raw, "arms") if (name := name_of(arm)) is not None)


def _must_be_an_arm(names: Collection[str]) -> str:
    return f"must be the name of an arm: {', '.join(map(repr, islice(names, 20))) or 'there is none'}"


def _input_size(raw: dict[str, Any]) -> Iterator[FieldError]:
    dataset = dataset_of(raw)
    try:
        model = _MODEL.validate_python(raw.get("model"))
    except ValidationError:
        return
    if dataset is not None and (fault := misfit(model, dataset.card().input_size)) is not None:
        yield FieldError.at(("model", "name"), model.name, f"does not fit {dataset.name!r}: {fault}")


def _events_fit_the_augmentation(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Refuse steps of an augmentation that are for still images, if the data set holds events."""
    dataset = dataset_of(raw)
    if dataset is None or not dataset.card().is_events:
        return
    for path, level in levels_of(raw):
        for index, step in items(level, "augmentation"):
            if (name := name_of(step)) in FOR_STILL_IMAGES:
                detail = f"is for still images, and {dataset.name!r} holds events; use 'roll' or 'nda'"
                yield FieldError.at((*path, "augmentation", index, "name"), name, detail)


def _learnable_tau(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Refuse a learnable decay factor that does not start strictly between 0 and 1."""
    for path, level in levels_of(raw):
        neuron = level.get("neuron")
        if isinstance(neuron, dict) and neuron.get("learnable_tau") is True and neuron.get("tau") in (0, 1):
            detail = "must be strictly between 0 and 1 if learnable_tau is true"
            yield FieldError.at((*path, "neuron", "tau"), neuron["tau"], detail)


def _num_chains(raw: dict[str, Any]) -> Iterator[FieldError]:
    num_arms, num_seeds = len(items(raw, "arms")), num_seeds_of(raw)
    if num_arms * num_seeds > MAX_CHAINS:
        detail = f"{num_arms:,} arms times {num_seeds:,} seeds must give at most {MAX_CHAINS:,} chains"
        yield FieldError.at(("seeds",), f"{num_seeds} seeds", detail)


def _health(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Check that the lowest firing rate is below the highest one."""
    limits = raw.get("limits")
    health = limits.get("health") if isinstance(limits, dict) else None
    if not isinstance(health, dict):
        return
    lowest, highest = health.get("min_rate", 0.0), health.get("max_rate", 1.0)
    if type(lowest) in (int, float) and type(highest) in (int, float) and lowest >= highest:
        yield FieldError.at(("limits", "health", "min_rate"), lowest, f"must be below max_rate, which is {highest!r}")


def _workers(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Check that each worker of a trial has whole GPUs, a process and at least one sample of every batch."""
    resources = raw.get("resources")
    num = resources.get("workers_per_trial") if isinstance(resources, dict) else None
    if not isinstance(resources, dict) or type(num) is not int or num < 2:
        return
    gpus = resources.get("gpus_per_trial")
    if type(gpus) is float and 0 < gpus < 1:
        detail = f"must be a whole number if workers_per_trial is {num}: two workers cannot share a GPU"
        yield FieldError.at(("resources", "gpus_per_trial"), gpus, detail)
    if resources.get("reuse_actors") is True:
        detail = f"must be false if workers_per_trial is {num}: every stage starts new workers"
        yield FieldError.at(("resources", "reuse_actors"), True, detail)
    for path, level in levels_of(raw):
        size = level.get("batch_size")
        if type(size) is int and 1 <= size < num:
            detail = f"must be at least workers_per_trial, which is {num}: all workers share every batch"
            yield FieldError.at((*path, "batch_size"), size, detail)
