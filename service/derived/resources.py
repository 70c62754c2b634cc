"""New resources in a stored spec. No other part of a stored spec may change."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.spec import Experiment, parse

KEY = "resources"


def with_resources(spec: Mapping[str, Any], changes: object) -> Experiment:
    """Return a stored spec with new resources; keys that `changes` leaves out keep their values.

    A null in `changes` replaces the old value too: for `accelerator_type` it means "any accelerator".

    Args:
        spec: The spec as plain data, without faults.
        changes: The posted document: `{"resources": {...}}`.

    Raises:
        SpecInvalid: The document has another form, or the spec with these resources has faults; the error holds all of
            them.
    """
    if faults := list(_faults(changes)):
        raise SpecInvalid(faults)
    assert isinstance(changes, Mapping)
    return parse({**spec, KEY: {**spec.get(KEY, {}), **changes.get(KEY, {})}})


def _faults(changes: object) -> Iterator[FieldError]:
    if not isinstance(changes, Mapping):
        yield FieldError.at((), changes, f"must be a mapping with the key {KEY}: the new resources of the trials")
        return
    for key, value in changes.items():
        if key != KEY:
            detail = f"unknown key; accepted here: {KEY}. To change another part of the spec, fork the experiment"
            yield FieldError.at((key,), value, detail)
    if not isinstance(changes.get(KEY, {}), Mapping):
        yield FieldError.at((KEY,), changes[KEY], "must be a mapping with the resources to change")
