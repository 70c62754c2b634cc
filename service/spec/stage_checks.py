"""Checks across the stages of an arm, on plain data, like those of `service.spec.checks`."""

from collections.abc import Iterator
from typing import Any

from service.errors import FieldError
from service.spec.merge import merged
from service.spec.raw import Path, dataset_of, items, name_of
from tet_core.config import ANALYSES, Training

_DEFAULTS = Training().model_dump(mode="json")


def stage_faults(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Yield the faults between the stages of each arm."""
    yield from _inheritance(raw)
    yield from _analyses(raw)


def _inheritance(raw: dict[str, Any]) -> Iterator[FieldError]:
    for number, arm in items(raw, "arms"):
        stages = items(arm, "stages") if isinstance(arm, dict) else []
        # Analyses do not change the network: a stage continues from the train stage before it.
        trains = [(index, stage) for index, stage in stages if not _is_analysis(stage)]
        for place, (index, stage) in enumerate(trains):
            if isinstance(stage, dict) and stage.get("inherit") == "all":
                before = trains[place - 1][1] if place else None
                yield from _inherits_all((raw, arm), ("arms", number, "stages", index), stage, before)


def _inherits_all(levels: tuple[Any, Any], path: Path, stage: dict[str, Any], before: Any) -> Iterator[FieldError]:
    """Check `inherit: all`, which continues the optimiser and schedule of the stage before: they must be the same."""
    if before is None:
        yield FieldError.at((*path, "inherit"), "all", "must be left out in the first stage: it has nothing to inherit")
        return
    if (fault := _other_steps(levels[0], stage, before)) is not None:
        yield FieldError.at((*path, "T"), stage.get("T"), fault)
    settings, settings_before = _settings(*levels, stage), _settings(*levels, before)
    pairs = {
        "optimizer": (settings["optimizer"].get("name"), settings_before["optimizer"].get("name")),
        "schedule": (settings["schedule"], settings_before["schedule"]),
    }
    for key, (value, earlier) in pairs.items():
        if value != earlier:
            detail = f"must be {earlier!r}, the {key} of the stage before, and not {value!r}: this stage inherits 'all'"
            yield FieldError.at((*path, key), stage.get(key), detail)


def _other_steps(raw: dict[str, Any], stage: dict[str, Any], before: Any) -> str | None:
    """Return a fault if T differs from the stage before and the norm is TEBN, or None.

    TEBN has one scale for each time step, so the optimiser's state of another T does not fit.
    """
    model = raw.get("model")
    norm = name_of(model.get("norm")) if isinstance(model, dict) else None
    if norm != "tebn" or not isinstance(before, dict) or stage.get("T") == before.get("T"):
        return None
    return f"must be {before.get('T')!r}, as in the stage before, since this one inherits 'all' and the norm is 'tebn'"


def _settings(*levels: Any) -> dict[str, Any]:
    blocks = [
        {key: level[key] for key in ("optimizer", "schedule") if isinstance(level.get(key), dict)}
        for level in levels
        if isinstance(level, dict)
    ]
    return merged(_DEFAULTS, *blocks)


def _analyses(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Check that each analysis has a trained network, and a data set with enough samples."""
    for number, arm in items(raw, "arms"):
        stages = items(arm, "stages") if isinstance(arm, dict) else []
        has_trained = False
        for index, stage in stages:
            if not _is_analysis(stage):
                has_trained = True
                continue
            path = ("arms", number, "stages", index)
            if not has_trained:
                detail = "must come after a train stage of this arm: the analysis reads that stage's network"
                yield FieldError.at((*path, "kind"), stage["kind"], detail)
            yield from _num_samples(raw, stage, path)


def _num_samples(raw: dict[str, Any], stage: dict[str, Any], path: Path) -> Iterator[FieldError]:
    wanted = stage.get("num_samples")
    dataset = dataset_of(raw) if type(wanted) is int else None
    if type(wanted) is not int or dataset is None:
        return
    split = "train" if stage.get("split") == "train" else "test"
    card = dataset.card()
    most = card.num_train if split == "train" else card.num_test
    if most is not None and wanted > most:
        detail = f"must be at most {most:,}, the size of the {split} set of {dataset.name!r}"
        yield FieldError.at((*path, "num_samples"), wanted, detail)


def _is_analysis(stage: object) -> bool:
    return isinstance(stage, dict) and stage.get("kind") in ANALYSES
