"""Tests of a stored spec with new resources."""

from typing import Any

import pytest

from service.derived.resources import with_resources
from service.errors import SpecInvalid
from service.spec import parse
from tests.unit.service.spec.test_spec import spec

STORED = parse(spec(resources={"workers_per_trial": 8, "accelerator_type": "A100", "gpus_per_trial": 1})).model_dump(
    mode="json", exclude_unset=True
)


def test_resources_that_are_left_out_keep_their_values() -> None:
    changed = with_resources(STORED, {"resources": {"workers_per_trial": 4}})
    assert changed == parse({**STORED, "resources": {**STORED["resources"], "workers_per_trial": 4}})
    assert (changed.resources.workers_per_trial, changed.resources.accelerator_type) == (4, "A100")
    assert with_resources(STORED, {}) == with_resources(STORED, {"resources": {}}) == parse(STORED)


def test_a_null_replaces_the_old_value() -> None:
    assert with_resources(STORED, {"resources": {"accelerator_type": None}}).resources.accelerator_type is None


def test_a_stored_spec_without_resources_has_the_defaults() -> None:
    stored = {key: value for key, value in STORED.items() if key != "resources"}
    assert with_resources(stored, {"resources": {"workers_per_trial": 2}}).resources.cpus_per_trial == 1


@pytest.mark.parametrize(
    ("changes", "changed_spec", "field", "words"),
    [
        ([1], {}, "$", "must be a mapping with the key resources"),
        ({"epochs": 3}, {}, "epochs", "unknown key; accepted here: resources"),
        ({"resources": 4}, {}, "resources", "must be a mapping"),
        ({"resources": None}, {}, "resources", "must be a mapping"),
        ({"resources": {"workers": 4}}, {}, "resources.workers", "unknown key"),
        ({"resources": {"workers_per_trial": 0}}, {}, "resources.workers_per_trial", "at least 1 and at most 64"),
        ({"resources": {"workers_per_trial": "4"}}, {}, "resources.workers_per_trial", "an integer"),
        ({"resources": {"gpus_per_trial": 0.5}}, {}, "resources.gpus_per_trial", "if workers_per_trial is 8"),
        ({"resources": {"reuse_actors": True}}, {}, "resources.reuse_actors", "must be false"),
        ({"resources": {"workers_per_trial": 16}}, {"batch_size": 9}, "batch_size", "which is 16"),
    ],
)
def test_resources_that_cannot_be_used_are_refused_with_their_field(
    changes: Any, changed_spec: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(SpecInvalid) as caught:
        with_resources({**STORED, **changed_spec}, changes)
    assert [(fault.field, words in fault.detail) for fault in caught.value.errors] == [(field, True)]
