"""Places in a spec by name: `optimizer.lr`, `augmentation.0.padding`, `arms.TET.stages.0.T`; and other values there."""

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter

from service.spec.merge import merged
from tet_core.config import DatasetConfig, LossConfig, Training

Document = dict[str, Any]
_DEFAULTS = Training().model_dump(mode="json")
# What stands at the top level, in an arm or in a stage; and what stands in train stages alone.
SETTINGS = tuple(Training.model_fields)
OF_STAGES = ("T", "epochs", "loss")
MODEL = "model"
AUGMENTATION = "augmentation"
ARMS = "arms."
STAGES = "stages"
_DATASET: TypeAdapter[DatasetConfig] = TypeAdapter(DatasetConfig)
_LOSSES = {get_args(member.model_fields["name"].annotation)[0]: member for member in get_args(get_args(LossConfig)[0])}
ACCEPTED = (
    f"must begin with a setting ({', '.join(SETTINGS)}), with {', '.join(OF_STAGES)} or with {MODEL}, "
    f"for all arms or behind '{ARMS}NAME.'; what stands in a list goes by its number: 'augmentation.0.padding'"
)


class UnknownPlaceError(ValueError):
    """There is no such place in the spec; its text says what there is."""


def with_values(document: Document, values: Mapping[str, Any], names: Sequence[str]) -> Document:
    """A copy of a spec in which other values stand at some places, whatever their order.

    An element of a list goes by its number, from 0. Since a list replaces the one above it as a whole, an arm or a
    stage that writes none begins with a copy of the one that holds there (at last the data set's augmentation, or an
    optimiser's own default); so it does with the name of a block.

    Args:
        document: A spec as plain data, without faults, with all of its arms or some.
        values: By place.
        names: Of all arms.

    Raises:
        UnknownPlaceError: A place is not to be found, be it for a value at another: an `sgd` has no `betas`.
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
    """At a level of settings; what is not there begins with what holds there: of a block the name, of a list all."""
    key, *inner = keys
    if not inner:
        level[key] = value
        return
    holding, place = _holding(key, above), ".".join(keys)
    if isinstance(holding, dict):
        level[key] = {"name": holding["name"], **(level.get(key) or {})}
        if len(inner) > 1:
            level[key][inner[0]] = copy.deepcopy(_within(holding, inner[0], place))
    elif isinstance(holding, list):
        level[key] = copy.deepcopy(holding)
    else:
        raise UnknownPlaceError(f"{key} holds no {inner[0]}")
    _set_deep(level, place, keys, value)


def _holding(key: str, levels: tuple[Document, ...]) -> Any:
    """A setting as it holds at the last of some levels, the spec being the first; of a block also what is left out."""
    defaults = _DEFAULTS
    if key == AUGMENTATION:
        defaults = _DATASET.validate_python(levels[0]["dataset"]).card().model_dump(mode="json")
    holding = merged({key: defaults[key]}, *({key: level.get(key)} for level in levels))[key]
    return {**_left_out(key, holding.get("name")), **holding} if isinstance(holding, dict) else holding


@cache
def _left_out(key: str, name: str) -> Document:
    """What the block of that name is where nothing of it is written."""
    blocks = get_args(Training.model_fields[key].annotation)
    return next((each().model_dump(mode="json") for each in blocks if each.model_fields["name"].default == name), {})


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
    """Within blocks and lists that are there."""
    *outer, last = keys
    holder: Any = document
    for depth, key in enumerate(outer):
        holder = _within(holder, key, place, ".".join(outer[:depth]))
    holder[_key(holder, last, ".".join(outer))] = value


def _within(holder: Any, key: str, place: str, name: str = "") -> Any:
    """The block or list behind a key of a block, or behind a number in the list of that name."""
    found = holder.get(key) if isinstance(holder, dict) else holder[_key(holder, key, name)]
    if isinstance(found, dict | list):
        return found
    others = holder.items() if isinstance(holder, dict) and found is None else ()
    near = difflib.get_close_matches(key, [each for each, inner in others if isinstance(inner, dict | list)], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownPlaceError(f"there is no block {key!r} at {place!r}, and no list{hint}")


def _key(holder: Any, key: str, name: str) -> str | int:
    """As a block takes it, or the list of that name."""
    if isinstance(holder, dict):
        return key
    if key in map(str, range(len(holder))):
        return int(key)
    called = [
        number
        for number, each in enumerate(holder)
        if isinstance(each, dict) and key in (each.get("name"), each.get("kind"))
    ]
    hint = f"; did you mean {called[0]}?" if called else ""
    raise UnknownPlaceError(f"{name} has {_elements(len(holder))}{hint}")


def _elements(count: int) -> str:
    if count < 2:
        return "1 element: 0" if count else "no elements"
    return f"{count} elements: 0 {'and' if count == 2 else 'to'} {count - 1}"
