"""Places in a spec by name: `optimizer.lr`, `loss.lamb`, `arms.TET.stages.0.T`; and a spec with other values there."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from service.merge import merged
from tet_core.config import LossConfig, Training

Document = dict[str, Any]
_DEFAULTS = Training().model_dump(mode="json")
# What stands at the top level, in an arm or in a stage; and what stands in train stages alone.
SETTINGS = tuple(Training.model_fields)
OF_STAGES = ("T", "epochs", "loss")
MODEL = "model"
ARMS = "arms."
STAGES = "stages"
_LOSSES = {get_args(member.model_fields["name"].annotation)[0]: member for member in get_args(get_args(LossConfig)[0])}
ACCEPTED = (
    f"must begin with a setting ({', '.join(SETTINGS)}), with {', '.join(OF_STAGES)} or with {MODEL}, "
    f"for all arms or behind '{ARMS}NAME.'"
)


class UnknownPlaceError(ValueError):
    """There is no such place in the spec; its text says what there is."""


def with_values(document: Document, values: Mapping[str, Any]) -> Document:
    """A copy of a spec in which other values stand at some places.

    Args:
        document: A spec as plain data, without faults.
        values: By place.

    Raises:
        UnknownPlaceError: A place is not to be found.
    """
    changed = copy.deepcopy(document)
    for place, value in values.items():
        _set(changed, place, value)
    return changed


def _set(document: Document, place: str, value: Any) -> None:
    arm, rest = _split(document, place)
    keys = rest.split(".")
    if keys[0] in SETTINGS:
        level = document if arm is None else arm
        _set_setting(level, keys, value, (document,) if arm is None else (document, arm))
    elif keys[0] in OF_STAGES:
        arms = document["arms"] if arm is None else [arm]
        _set_in_stages([stage for each in arms for stage in _train_stages(each)], place, keys, value)
    elif keys[0] == STAGES and arm is not None:
        _set_in_stage(document, arm, place, keys[1:], value)
    elif keys[0] == MODEL and arm is None and len(keys) > 1:
        _set_deep(document, place, keys, value)
    else:
        raise UnknownPlaceError(ACCEPTED)


def _split(document: Document, place: str) -> tuple[Document | None, str]:
    """The arm that a place is in, None where it is in all of them, and the place within it."""
    if not place.startswith(ARMS):
        return None, place
    behind = place.removeprefix(ARMS)
    # Names may hold dots.
    fitting = [arm for arm in document["arms"] if behind.startswith(arm["name"] + ".")]
    if not fitting:
        names = ", ".join(repr(arm["name"]) for arm in document["arms"][:20])
        raise UnknownPlaceError(f"must name an arm behind '{ARMS}': {names}")
    arm: Document = max(fitting, key=lambda each: len(each["name"]))
    return arm, behind.removeprefix(arm["name"] + ".")


def _train_stages(arm: Document) -> Iterator[Document]:
    return (stage for stage in arm["stages"] if stage["kind"] == "train")


def _set_setting(level: Document, keys: list[str], value: Any, above: tuple[Document, ...]) -> None:
    """At a level of settings; a block that is not there begins with the name that holds there."""
    if len(keys) == 1:
        level[keys[0]] = value
        return
    block = level.get(keys[0])
    if not isinstance(block, dict):
        around = [each[keys[0]] for each in above if isinstance(each.get(keys[0]), dict)]
        whole = merged(_DEFAULTS, *({keys[0]: each} for each in around)).get(keys[0])
        if not isinstance(whole, dict):
            raise UnknownPlaceError(f"{keys[0]} holds no {keys[1]}")
        block = level[keys[0]] = {"name": whole["name"]}
    _set_deep(block, ".".join(keys), keys[1:], value)


def _set_in_stages(stages: list[Document], place: str, keys: list[str], value: Any) -> None:
    if keys[0] != "loss":
        if len(keys) > 1:
            raise UnknownPlaceError(f"{keys[0]} is a number")
        for stage in stages:
            stage[keys[0]] = value
        return
    field = ".".join(keys[1:])
    fitting = [stage for stage in stages if field in _LOSSES[stage["loss"]["name"]].model_fields]
    if not fitting or field == "name":
        raise UnknownPlaceError(f"no stage there has a loss with {field!r}")
    for stage in fitting:
        _set_deep(stage["loss"], place, keys[1:], value)


def _set_in_stage(document: Document, arm: Document, place: str, keys: list[str], value: Any) -> None:
    count = len(arm["stages"])
    if len(keys) < 2 or not keys[0].isdecimal() or int(keys[0]) >= count:
        raise UnknownPlaceError(
            f"must be '{STAGES}.NUMBER.' and what stands there; the arm's stages are 0 to {count - 1}"
        )
    stage = arm["stages"][int(keys[0])]
    if keys[1] in SETTINGS:
        _set_setting(stage, keys[1:], value, (document, arm, stage))
    else:
        _set_deep(stage, place, keys[1:], value)


def _set_deep(document: Document, place: str, keys: list[str], value: Any) -> None:
    *blocks, last = keys
    for key in blocks:
        inner = document.get(key)
        if not isinstance(inner, dict):
            raise UnknownPlaceError(f"there is no block {key!r} at {place!r}")
        document = inner
    document[last] = value
