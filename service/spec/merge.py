"""The merge of settings (levels of a spec, or a spec and changes to it), and the places where two settings differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.spec.raw import name_of


def merged(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings by key; a later level wins.

    Blocks (mappings) merge key by key, unless the later one changes the block's `name`: then it replaces the block,
    since the fields of one optimiser mean nothing to another. Lists are replaced whole. None means "not set".

    Example:
        >>> merged({"optimizer": {"name": "adam", "lr": 1e-3}}, {"optimizer": {"name": "adam", "weight_decay": 0.1}})
        {'optimizer': {'name': 'adam', 'lr': 0.001, 'weight_decay': 0.1}}
        >>> merged({"optimizer": {"name": "adam", "lr": 1e-3}}, {"optimizer": {"name": "sgd"}})
        {'optimizer': {'name': 'sgd'}}
    """
    result: dict[str, Any] = {}
    for level in levels:
        for key, value in level.items():
            if value is not None:
                result[key] = _joined(result.get(key), value)
    return result


def changed(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a user's changes into a valid spec; lists are replaced whole.

    If the changes have other arms and no pairs of their own, the spec's pairs of arms that are gone are left out.
    """
    document = merged(spec, changes)
    if "compare" in document and "compare" not in changes and isinstance(document["arms"], list | tuple):
        names = {name for arm in document["arms"] if (name := name_of(arm)) is not None}
        document["compare"] = [pair for pair in document["compare"] if {pair["arm"], pair["to"]} <= names]
        if not document["compare"]:
            del document["compare"]
    return document


def _joined(below: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if not isinstance(below, Mapping) or value.get("name", below.get("name")) != below.get("name"):
        return dict(value)
    return merged(below, value)


def differing(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each place at which two settings differ, with both values; None if one of them lacks the place.

    Of two blocks with different names, only the names are yielded, since the fields of one mean nothing to the other.
    Lists differ as a whole.

    Example:
        >>> list(differing({"optimizer": {"name": "adam", "lr": 0.1}}, {"optimizer": {"name": "adam", "lr": 0.2}}))
        [('optimizer.lr', 0.1, 0.2)]
        >>> list(differing({"optimizer": {"name": "adam", "lr": 0.1}}, {"optimizer": {"name": "sgd"}}))
        [('optimizer.name', 'adam', 'sgd')]
    """
    if one.get("name") != other.get("name"):
        yield f"{prefix}name", one.get("name"), other.get("name")
        return
    for key in {**one, **other}:
        value, of_other = one.get(key), other.get(key)
        if isinstance(value, Mapping) and isinstance(of_other, Mapping):
            yield from differing(value, of_other, f"{prefix}{key}.")
        elif value != of_other:
            yield f"{prefix}{key}", value, of_other
