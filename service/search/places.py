"""Places in a spec, such as `optimizer.lr`, `augmentation.0.padding`, `arms.TET.stages.0.T`, and their new values."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter

from service.spec.merge import merged
from tet_core.config import DatasetConfig, LossConfig, Training

Document = dict[str, Any]
_DEFAULTS = Training().model_dump(mode="json")
# Keys that the top level, an arm and a train stage may have.
SETTINGS = tuple(Training.model_fields)
# Keys that only a train stage has.
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
    """A place that is not in the spec; the text says which places are accepted there."""


def with_values(document: Document, values: Mapping[str, Any], names: Sequence[str]) -> Document:
    """Return a copy of a spec with new values at some places; the order of the places does not matter.

    The key of an element in a list is its number, from 0. A list replaces the list of the level above as a whole. So an
    arm or a stage without the list first gets a copy of the list that applies to it. This is the list of the nearest
    level above that has one; if no level has one, it is the data set's augmentation or the optimiser's default. The
    name of a block is copied in the same way.

    Args:
        document: A spec as plain data, without faults, with all or some of its arms.
        values: The new values by place.
        names: The names of all arms.

    Raises:
        UnknownPlaceError: A place does not exist, perhaps because of a new value at another place: an `sgd` has no
            `betas`.
    """
    changed: Document = _copied(document)
    parts = [(*_split(place, names), place, value) for place, value in values.items()]
    # Outer places first, and names before other keys, since an inner block starts as a copy of the outer one.
    for arm, rest, place, value in sorted(parts, key=lambda each: (_depth(*each[:2]), not each[1].endswith(".name"))):
        _set(changed, arm, rest, place, value)
    return changed


def _copied(value: Any) -> Any:
    """Return a deep copy of plain data, in a third of the time of `copy.deepcopy`. A search makes thousands of them."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _depth(arm: str | None, rest: str) -> int:
    return (arm is not None) + rest.startswith(STAGES)


def _split(place: str, names: Sequence[str]) -> tuple[str | None, str]:
    """Return the name of the arm that a place is in (None: in all arms), and the rest of the place."""
    if not place.startswith(ARMS):
        return None, place
    inner = place.removeprefix(ARMS)
    # Names of arms may contain dots.
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
    """Set a value at a level.

    A missing block starts with the name that applies there. A missing list starts as a copy of the list that applies.
    """
    key, *inner = keys
    if not inner:
        level[key] = value
        return
    current, place = _holding(key, above), ".".join(keys)
    if isinstance(current, dict):
        level[key] = {"name": current["name"], **(level.get(key) or {})}
        if len(inner) > 1:
            level[key][inner[0]] = _copied(_within(current, inner[0], place))
    elif isinstance(current, list):
        level[key] = _copied(current)
    else:
        raise UnknownPlaceError(f"{key} is not a list or block, so it has no element {inner[0]}")
    _set_deep(level, place, keys, value)


def _holding(key: str, levels: tuple[Document, ...]) -> Any:
    """Return the value of a setting that applies at the last of these levels; the first level is the spec.

    A block has all of its defaults.
    """
    defaults = _DEFAULTS
    if key == AUGMENTATION:
        defaults = _DATASET.validate_python(levels[0]["dataset"]).card().model_dump(mode="json")
    current = merged({key: defaults[key]}, *({key: level.get(key)} for level in levels))[key]
    return {**_left_out(key, current.get("name")), **current} if isinstance(current, dict) else current


@cache
def _left_out(key: str, name: str) -> Document:
    """Return the defaults of the block with this name."""
    blocks = get_args(Training.model_fields[key].annotation)
    return next((each().model_dump(mode="json") for each in blocks if each.model_fields["name"].default == name), {})


def _set_in_stages(stages: list[Document], place: str, keys: list[str], value: Any) -> None:
    if keys[0] != "loss":
        if len(keys) > 1:
            raise UnknownPlaceError(f"{keys[0]} is a number, so it has no key {keys[1]!r}")
        for stage in stages:
            stage[keys[0]] = value
        return
    field = ".".join(keys[1:])
    fitting = [stage for stage in stages if field in _LOSSES[stage["loss"]["name"]].model_fields]
    if not fitting or field == "name":
        raise UnknownPlaceError(f"no train stage there has a loss with the field {field!r}")
    for stage in fitting:
        _set_deep(stage["loss"], place, keys[1:], value)


def _set_in_stage(document: Document, arm: Document, place: str, keys: list[str], value: Any) -> None:
    count = len(arm["stages"])
    if len(keys) < 2 or keys[0] not in map(str, range(count)):
        raise UnknownPlaceError(
            f"must be '{STAGES}.NUMBER.' and a key of the stage; the arm's stages are numbered 0 to {count - 1}"
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
    """Return the block or list at a key of a block, or at a number in a list; `name` is the list's name for errors."""
    value = holder.get(key) if isinstance(holder, dict) else holder[_key(holder, key, name)]
    if isinstance(value, dict | list):
        return value
    others = holder.items() if isinstance(holder, dict) and value is None else ()
    near = difflib.get_close_matches(key, [each for each, inner in others if isinstance(inner, dict | list)], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownPlaceError(f"{key!r} in {place!r} is neither a block nor a list{hint}")


def _key(holder: Any, key: str, name: str) -> str | int:
    """Return a key of a block as text, or a key of a list as a number; `name` is the list's name for errors."""
    if isinstance(holder, dict):
        return key
    if key in map(str, range(len(holder))):
        return int(key)
    matching = [
        number
        for number, each in enumerate(holder)
        if isinstance(each, dict) and key in (each.get("name"), each.get("kind"))
    ]
    hint = f"; did you mean {matching[0]}?" if matching else ""
    raise UnknownPlaceError(f"{name} has {_elements(len(holder))}{hint}")


def _elements(count: int) -> str:
    if count < 2:
        return "1 element, numbered 0" if count else "no elements, since the list is empty"
    return f"{count} elements, numbered 0 {'and' if count == 2 else 'to'} {count - 1}"
