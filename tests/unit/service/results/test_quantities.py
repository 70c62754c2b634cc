"""Tests of the quantities that an experiment has."""

from typing import Any

import pytest

from service.results.quantities import DEFAULT, quantities_of, quantity_of
from service.spec import parse
from tests.unit.service.spec.test_spec import spec, train


def names(**changes: Any) -> list[str]:
    return list(quantities_of(parse(spec(**changes))))


def test_the_default_comes_first_and_each_name_belongs_to_its_quantity() -> None:
    found = quantities_of(parse(spec(validation=0.1)))
    assert next(iter(found)) == DEFAULT.name
    assert [name for name, quantity in found.items() if quantity.name != name] == []
    assert quantity_of(parse(spec()), "test/accuracy") == DEFAULT


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"validation": 0.1}, "val/accuracy"),
        ({"validation": 0.1}, "test/accuracy_best_val_epoch"),
        ({"arms": [{"name": "SDT", "stages": [train(), {"kind": "time_sweep", "T": [1]}]}]}, "time_sweep/loss_tet"),
        ({"arms": [{"name": "SDT", "stages": [train(), {"kind": "energy"}]}]}, "energy/uj_per_image"),
    ],
)
def test_some_quantities_need_a_part_of_the_spec(changes: dict[str, Any], name: str) -> None:
    assert name in names(**changes)
    assert name not in names()


def test_only_accuracies_are_better_if_they_are_higher() -> None:
    arms = [{"name": "SDT", "stages": [train(), {"kind": "energy"}, {"kind": "time_sweep", "T": [1]}]}]
    found = quantities_of(parse(spec(validation=0.1, arms=arms)))
    assert {name for name, each in found.items() if each.higher_is_better} == {
        name for name in found if "accuracy" in name
    }
