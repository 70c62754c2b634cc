"""A stored spec with other resources: the only part of it that may change."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.spec import Experiment, parse

KEY = "resources"


def with_resources(spec: Mapping[str, Any], changes: object) -> Experiment:
    """Return a stored spec with other resources; keys that are left out stay.

    A key that is null replaces the old one too: it may stand for "any accelerator", for example.

    Args:
        spec: The spec as plain data, without faults.
        changes: The posted document: `{"resources": {...}}`.

    Raises:
        SpecInvalid: The document has another form, or the spec has faults with these resources; the error holds all.
    """
    if faults := list(_faults(changes)):
        raise SpecInvalid(faults)
    assert isinstance(changes, Mapping)
    return parse({**spec, KEY: {**spec.get(KEY, {}), **changes.get(KEY, {})}})


def _faults(changes: object) -> Iterator[FieldError]:
    if not isinstance(changes, Mapping):
        yield FieldError.at((), changes, f"must be a mapping with the key {KEY}: the new resources of its trials")
        return
    for key, value in changes.items():
        if key != KEY:
            detail = f"unknown key; accepted here: {KEY}. To change another part of the spec, fork the experiment"
            yield FieldError.at((key,), value, detail)
    if not isinstance(changes.get(KEY, {}), Mapping):
        yield FieldError.at((KEY,), changes[KEY], "must be a mapping: the keys of the spec's resources that change")
