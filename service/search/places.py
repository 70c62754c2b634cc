"""Places in a spec by name: `optimizer.lr`, `loss.lamb`, `arms.TET.stages.0.T`; and a spec with other values there."""

import copy
from collections.abc import Iterator, Mapping, Sequence
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


def with_values(document: Document, values: Mapping[str, Any], names: Sequence[str]) -> Document:
    """A copy of a spec in which other values stand at some places, whatever their order.

    Args:
        document: A spec as plain data, without faults, with all of its arms or some.
        values: By place.
        names: Of all arms.

    Raises:
        UnknownPlaceError: A place is not to be found.
    """
    changed = copy.deepcopy(document)
    found = [(*_split(place, names), place, value) for place, value in values.items()]
    # From the outside to the inside, and names first: what an inner block begins with is what holds around it.
    for arm, rest, place, value in sorted(found, key=lambda each: (_depth(*each[:2]), not each[1].endswith(".name"))):
        _set(changed, arm, rest, place, value)
    return changed


def _depth(arm: str | None, rest: str) -> int:
    return (arm is not None) + rest.startswith(STAGES)


def _split(place: str, names: Sequence[str]) -> tuple[str | None, str]:
    """The name of the arm that a place is in, None where it is in all of them, and the place within it."""
    if not place.startswith(ARMS):
        return None, place
    behind = place.removeprefix(ARMS)
    # Names may hold dots.
    fitting = [name for name in names if behind.startswith(name + ".")]
    if not fitting:
        raise UnknownPlaceError(f"must name an arm behind '{ARMS}': {', '.join(map(repr, names[:20]))}")
    arm = max(fitting, key=len)
    return arm, behind.removeprefix(arm + ".")


def _set(document: Document, name: str | None, rest: str, place: str, value: Any) -> None:
    arms = [arm for arm in document["arms"] if name in (None, arm["name"])]
    if not arms:
        raise UnknownPlaceError(f"there is no arm {name!r} here")
    keys = rest.split(".")
    if keys[0] in SETTINGS:
        level = document if name is None else arms[0]
        _set_setting(level, keys, value, (document,) if name is None else (document, level))
    elif keys[0] in OF_STAGES:
        _set_in_stages([stage for each in arms for stage in _train_stages(each)], place, keys, value)
    elif keys[0] == STAGES and name is not None:
        _set_in_stage(document, arms[0], place, keys[1:], value)
    elif keys[0] == MODEL and name is None and len(keys) > 1:
        _set_deep(document, place, keys, value)
    else:
        raise UnknownPlaceError(ACCEPTED)


def _train_stages(arm: Document) -> Iterator[Document]:
    return (stage for stage in arm["stages"] if stage["kind"] == "train")


def _set_setting(level: Document, keys: list[str], value: Any, above: tuple[Document, ...]) -> None:
    """At a level of settings; a block that is not there begins with the name that holds there."""
    if len(keys) == 1:
        level[keys[0]] = value
        return
    block = level.get(keys[0])
    if not isinstance(block, dict) or "name" not in block:
        around = [each[keys[0]] for each in above if isinstance(each.get(keys[0]), dict)]
        whole = merged(_DEFAULTS, *({keys[0]: each} for each in around)).get(keys[0])
        if not isinstance(whole, dict):
            raise UnknownPlaceError(f"{keys[0]} holds no {keys[1]}")
        block = level[keys[0]] = {"name": whole["name"], **(block or {})}
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
    if len(keys) < 2 or keys[0] not in map(str, range(count)):
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
