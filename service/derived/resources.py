"""A spec with other resources: all that may change of one that is there."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.spec import Experiment, parse

KEY = "resources"


def regiven(spec: Mapping[str, Any], changes: object) -> Experiment:
    """A stored spec with what is asked for, key by key, over its own resources.

    A key that is null takes the place of the old one too: no accelerator in particular, say.

    Args:
        spec: As plain data, without faults.
        changes: What was posted: `{"resources": {...}}`.

    Raises:
        SpecInvalid: That is something else, or the spec has faults with these resources; with every one.
    """
    if faults := list(_faults(changes)):
        raise SpecInvalid(faults)
    assert isinstance(changes, Mapping)
    return parse({**spec, KEY: {**spec.get(KEY, {}), **changes.get(KEY, {})}})


def _faults(changes: object) -> Iterator[FieldError]:
    if not isinstance(changes, Mapping):
        yield FieldError.at((), changes, f"must be a mapping with the key {KEY}: what its trials are given from now on")
        return
    for key, value in changes.items():
        if key != KEY:
            detail = f"unknown key; accepted here: {KEY}. All else of a spec stays as it was posted: to change it, fork"
            yield FieldError.at((key,), value, detail)
    if not isinstance(changes.get(KEY, {}), Mapping):
        yield FieldError.at((KEY,), changes[KEY], "must be a mapping: the keys of the spec's resources that change")
