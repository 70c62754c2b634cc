"""The translation of pydantic's errors into ours: a path in the user's document, and a sentence on what is accepted.

pydantic's locations contain the tags of unions (`arms, 0, optimizer, adam, lr`). This module follows a location through
the models, to tell tags from keys and to find the field. The field's limits and names make the sentence.
"""

import difflib
import functools
import operator
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from service.errors import FieldError
from service.text import printable

# The longest unknown key, in characters, for which a similar name is searched: a longer one takes time and is no typo.
_MAX_KEY_TO_MATCH = 80


@dataclass
class _Place:
    """The end of a location: the path without tags, the accepted type, and its limits."""

    path: list[str | int] = field(default_factory=list)
    wanted: Any = None
    metadata: tuple[Any, ...] = ()
    owner: type[BaseModel] | None = None
    # The other forms that are accepted at the same path: the tagged members of a union of which this is one.
    others: tuple[Any, ...] = ()


def faults_of(model: type[BaseModel], error: ValidationError, *, limit: int) -> tuple[list[FieldError], int]:
    """Turn the errors of validating `model` into faults of the user's document.

    Returns:
        The first `limit` faults, and the number of all faults.
    """
    details = [detail for detail in error.errors(include_url=False) if not _is_echo(detail)]
    return [_fault(model, detail) for detail in details[:limit]], len(details)


def _is_echo(error: ErrorDetails) -> bool:
    """Return whether a list only seems too short: pydantic counts only valid items, and also reports the others."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _fault(model: type[BaseModel], error: ErrorDetails) -> FieldError:
    place = _locate(model, error["loc"])
    value = None if error["type"] == "missing" else error["input"]
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key = error["ctx"]["discriminator"].strip("'")
        place.path.append(key)
        value = value.get(key) if isinstance(value, dict) else None
    return FieldError.at(place.path, value, _sentence(place, error))


def _locate(model: type[BaseModel], location: Sequence[str | int]) -> _Place:
    place = _Place(wanted=model)
    for part in location:
        _unwrap(place)
        if part == "[key]":
            continue
        if (members := _members(place.wanted)) and part in members:
            place.wanted = members[str(part)]
            continue
        if (forms := _forms(place.wanted)) and part in forms:
            place.wanted = forms.pop(str(part))
            place.others = tuple(forms.values())
            continue
        place.path.append(part)
        place.others = ()
        _descend(place, part)
    _unwrap(place)
    return place


def _unwrapped(place: _Place) -> _Place:
    _unwrap(place)
    return place


def _unwrap(place: _Place) -> None:
    """Strip `Annotated[...]` and `... | None`, and keep the metadata."""
    while True:
        if get_origin(place.wanted) is Annotated:
            inner, *metadata = get_args(place.wanted)
            place.wanted, place.metadata = inner, place.metadata + tuple(metadata)
        elif get_origin(place.wanted) in (Union, types.UnionType) and type(None) in get_args(place.wanted):
            rest = [arg for arg in get_args(place.wanted) if arg is not type(None)]
            place.wanted = functools.reduce(operator.or_, rest)
        else:
            return


def _tag(members: dict[str, type[BaseModel]]) -> str:
    """Return the key that tells the members of a union apart: `name`, or `kind` for stages."""
    return "name" if all("name" in member.model_fields for member in members.values()) else "kind"


def _members(wanted: Any) -> dict[str, type[BaseModel]]:
    """Return the members of a discriminated union by tag; an empty dict for any other type."""
    if get_origin(wanted) not in (Union, types.UnionType):
        return {}
    members = {}
    for member in get_args(wanted):
        for key in ("name", "kind"):
            if key in getattr(member, "model_fields", ()):
                members.update(dict.fromkeys(get_args(member.model_fields[key].annotation), member))
    return members


def _forms(wanted: Any) -> dict[str, Any]:
    """Return the members of a union that pydantic tells apart by `Tag`, by tag; an empty dict for any other type."""
    if get_origin(wanted) not in (Union, types.UnionType):
        return {}
    tagged = ((member, item) for member in get_args(wanted) for item in getattr(member, "__metadata__", ()))
    return {item.tag: member for member, item in tagged if isinstance(item, Tag)}


def _descend(place: _Place, part: str | int) -> None:
    wanted, place.wanted, place.metadata = place.wanted, None, ()
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        place.owner = wanted
        info = wanted.model_fields.get(str(part))
        if info is not None:
            place.wanted, place.metadata = info.annotation, tuple(info.metadata)
    elif get_origin(wanted) is tuple:
        place.wanted = get_args(wanted)[0]
    elif get_origin(wanted) is dict:
        place.wanted = get_args(wanted)[1]


def _sentence(place: _Place, error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _unknown_key(place)
        case "missing":
            return f"is required: {_accepted(place)}"
        case "invalid_key":
            return "keys must be text"
        case "union_tag_invalid" | "union_tag_not_found":
            return f"must be one of {_listed(_members(place.wanted))}"
        case "value_error":
            return str(context["error"])
        case "too_short":
            return f"must hold at least {context['min_length']} item(s)"
        case "too_long":
            return f"must hold at most {context['max_length']:,} items, not {context['actual_length']}"
        case "string_too_long" | "string_too_short":
            return f"must be text of {_length(place)} characters"
        case _:
            return f"must be {_accepted(place)}"


def _unknown_key(place: _Place) -> str:
    key = str(place.path[-1])
    accepted = _keys(place.owner) if place.owner else []
    near = difflib.get_close_matches(key, accepted, n=1) if len(key) <= _MAX_KEY_TO_MATCH else []
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key; {hint}accepted here: {', '.join(accepted)}"


def _accepted(place: _Place) -> str:
    """Return what is accepted at a place, from its type and limits; with other forms, also these."""
    others = (_accepted(_unwrapped(_Place(wanted=other))) for other in place.others)
    return ", or ".join([_of_this_form(place), *others])


def _of_this_form(place: _Place) -> str:
    wanted = place.wanted
    if members := _members(wanted):
        return f"a mapping with '{_tag(members)}' one of {_listed(members)}"
    if forms := _forms(wanted):
        return ", or ".join(_accepted(_unwrapped(_Place(wanted=form))) for form in forms.values())
    if get_origin(wanted) is Literal:
        return f"one of {_listed(get_args(wanted))}"
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        name = wanted.model_fields.get("name")
        if name is not None and get_origin(name.annotation) is Literal:
            return f"a mapping with 'name' one of {_listed(get_args(name.annotation))}"
        return f"a mapping with the keys {', '.join(_keys(wanted))}"
    if wanted is int or wanted is float:
        return ("an integer" if wanted is int else "a finite number") + _bounds(place)
    if get_origin(wanted) is tuple:
        return "a list"
    names = {str: "text", bool: "true or false"}
    return names.get(wanted, "a mapping of text to text")


def _keys(model: type[BaseModel]) -> list[str]:
    """Return the keys of a model: first its own, then those of its base classes."""
    own = [name for name in model.model_fields if name in model.__annotations__]
    return own + [name for name in model.model_fields if name not in own]


def _bounds(place: _Place) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = {key: value for key in words if (value := _limit(place, key)) is not None}
    return " " + " and ".join(f"{words[key]} {_number(value)}" for key, value in limits.items()) if limits else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _length(place: _Place) -> str:
    return f"{_limit(place, 'min_length') or 0} to {_limit(place, 'max_length'):,}"


def _limit(place: _Place, name: str) -> Any:
    for item in _flat(place.metadata):
        if (value := getattr(item, name, None)) is not None:
            return value
    return None


def _flat(metadata: Sequence[Any]) -> list[Any]:
    return [part for item in metadata for part in (_flat(item.metadata) if isinstance(item, FieldInfo) else [item])]


def _listed(names: Any) -> str:
    return ", ".join(printable(repr(name)) for name in names)
