"""Places in a spec by name, such as `optimizer.lr`, `augmentation.0.padding`, `arms.TET.stages.0.T`, and new values."""

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
# Keys of the top level, of an arm or of a stage; and keys of train stages alone.
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
    f"for all arms or after '{ARMS}NAME.'; an element of a list is named by its number: 'augmentation.0.padding'"
)


class UnknownPlaceError(ValueError):
    """A place is not in the spec; the text says what there is."""


def with_values(document: Document, values: Mapping[str, Any], names: Sequence[str]) -> Document:
    """Return a copy of a spec with other values at some places; the order of the places does not matter.

    The number of an element, from 0, is its key in a list. A list replaces the one above it as a whole, so an arm or a
    stage without the list gets a copy of the one that holds there; the last resort is the data set's augmentation, or
    the default of an optimiser. The same holds for the name of a block.

    Args:
        document: A spec as plain data, without faults, with all of its arms or some.
        values: The values by place.
        names: The names of all arms.

    Raises:
        UnknownPlaceError: There is no such place, perhaps because of a value at another one: an `sgd` has no `betas`.
    """
    changed = copy.deepcopy(document)
    found = [(*_split(place, names), place, value) for place, value in values.items()]
    # From the outside to the inside, and names first, since an inner block starts as a copy of the one around it.
    for arm, rest, place, value in sorted(found, key=lambda each: (_depth(*each[:2]), not each[1].endswith(".name"))):
        _set(changed, arm, rest, place, value)
    return changed


def _depth(arm: str | None, rest: str) -> int:
    return (arm is not None) + rest.startswith(STAGES)


def _split(place: str, names: Sequence[str]) -> tuple[str | None, str]:
    """Return the name of the arm that a place is in, None for all arms, and the place within it."""
    if not place.startswith(ARMS):
        return None, place
    inner = place.removeprefix(ARMS)
    # Names may hold dots.
    fitting = [name for name in names if inner.startswith(name + ".")]
    if not fitting:
        raise UnknownPlaceError(f"must name an arm after '{ARMS}': {', '.join(map(repr, names[:20]))}")
    arm = max(fitting, key=len)
    return arm, inner.removeprefix(arm + ".")


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
    """Set a value at a level. A block that it leaves out starts with the name that holds there, a list as a copy."""
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
    """Return a setting as it holds at the last of some levels, the spec being the first; a block with its defaults."""
    defaults = _DEFAULTS
    if key == AUGMENTATION:
        defaults = _DATASET.validate_python(levels[0]["dataset"]).card().model_dump(mode="json")
    holding = merged({key: defaults[key]}, *({key: level.get(key)} for level in levels))[key]
    return {**_left_out(key, holding.get("name")), **holding} if isinstance(holding, dict) else holding


@cache
def _left_out(key: str, name: str) -> Document:
    """Return the defaults of the block of that name."""
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
            f"must be '{STAGES}.NUMBER.' and a key of the stage; the arm's stages are 0 to {count - 1}"
        )
    stage = arm["stages"][int(keys[0])]
    if keys[1] in SETTINGS:
        _set_setting(stage, keys[1:], value, (document, arm, stage))
    else:
        _set_deep(stage, place, keys[1:], value)


def _set_deep(document: Document, place: str, keys: list[str], value: Any) -> None:
    """Set a value within blocks and lists that exist."""
    *outer, last = keys
    holder: Any = document
    for depth, key in enumerate(outer):
        holder = _within(holder, key, place, ".".join(outer[:depth]))
    holder[_key(holder, last, ".".join(outer))] = value


def _within(holder: Any, key: str, place: str, name: str = "") -> Any:
    """Return the block or list at a key of a block, or at a number in the list of that name."""
    found = holder.get(key) if isinstance(holder, dict) else holder[_key(holder, key, name)]
    if isinstance(found, dict | list):
        return found
    others = holder.items() if isinstance(holder, dict) and found is None else ()
    near = difflib.get_close_matches(key, [each for each, inner in others if isinstance(inner, dict | list)], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownPlaceError(f"there is no block {key!r} at {place!r}, and no list{hint}")


def _key(holder: Any, key: str, name: str) -> str | int:
    """Return the key for a block, or the number for the list of that name."""
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
