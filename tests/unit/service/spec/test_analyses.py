"""Tests of analyses as stages of an arm."""

from typing import Any

import pytest

from service.plan import plan
from service.spec.experiment import parse
from service.spec.resolving import resolve_stage
from tests.unit.service.spec.test_spec import fault, faults, spec, train

SWEEP = {"kind": "time_sweep", "T": {"first": 1, "last": 6}}
LANDSCAPE = {"kind": "landscape", "size": 5, "num_samples": 100}


def arm(*stages: dict[str, Any]) -> dict[str, Any]:
    """Return a spec whose only arm has these stages."""
    return spec(arms=[{"name": "SDT", "stages": list(stages)}])


def test_an_analysis_is_resolved_with_the_train_stage_before_it() -> None:
    parsed = parse(arm(train(T=2, epochs=3), SWEEP, train(epochs=4), LANDSCAPE, {"kind": "energy"}))
    configs = [resolve_stage(parsed, 0, index, seed=1) for index in range(5)]
    dumped = [config.model_dump() for config in configs]
    assert [dump["train"] for dump in (dumped[1], dumped[3], dumped[4])] == [dumped[0], dumped[2], dumped[2]]
    assert [(config.T, config.epochs) for config in configs] == [(2, 3), (None, 6), (4, 4), (4, 5), (4, 1)]
    assert dumped[1]["analysis"]["T"] == (1, 2, 3, 4, 5, 6)


def test_analyses_change_neither_epoch_numbers_nor_schedules() -> None:
    with_analyses = parse(arm(train(epochs=3), SWEEP, train(epochs=4, inherit="all"), LANDSCAPE, train(epochs=5)))
    without = parse(arm(train(epochs=3), train(epochs=4, inherit="all"), train(epochs=5)))
    trains = [resolve_stage(with_analyses, 0, index, seed=1) for index in (0, 2, 4)]
    assert trains == [resolve_stage(without, 0, index, seed=1) for index in range(3)]


def test_a_stage_continues_from_the_last_train_stage() -> None:
    (chain,) = plan(parse(arm(train(), SWEEP, LANDSCAPE, train(), SWEEP) | {"seeds": [7]}))
    assert [chain.train_before(index) for index in range(5)] == [None, 0, 0, 0, 3]
    assert [stage.index for stage in chain.train_stages] == [0, 3]
    assert [stage.kind for stage in chain.stages] == ["train", "time_sweep", "landscape", "train", "time_sweep"]
    assert all(stage.config.model_dump()["train"]["seed"] == 7 for stage in chain.stages if not stage.is_train)


def test_an_analysis_needs_a_train_stage_before_it() -> None:
    error = fault(arm(SWEEP, train()))
    assert (error.field, error.value) == ("arms[0].stages[0].kind", "time_sweep")
    assert error.detail.startswith("must come after a train stage of this arm: ")


def test_a_stage_cannot_inherit_all_without_a_train_stage_before_it() -> None:
    assert set(faults(arm(SWEEP, train(inherit="all")))) == {
        "arms[0].stages[0].kind",
        "arms[0].stages[1].inherit",
    }


@pytest.mark.parametrize(
    ("stage", "field", "detail"),
    [
        (SWEEP | {"T": [1, 0]}, "T[1]", "must be an integer at least 1 and at most 1,000"),
        (SWEEP | {"T": 4}, "T", "must be a list"),
        (SWEEP | {"T": {"first": 2, "last": 1}}, "T", "must be a range with 1 <= first <= last <= 1,000"),
        (SWEEP | {"T": [3, 3]}, "T", "must name each number of time steps once"),
        (LANDSCAPE | {"size": 6}, "size", "must be odd, so that the grid has a centre"),
        (LANDSCAPE | {"size": 203}, "size", "must be an integer at least 3 and at most 201"),
        (LANDSCAPE | {"split": "val"}, "split", "must be one of 'test', 'train'"),
        (LANDSCAPE | {"num_samples": 356}, "num_samples", "must be at most 355, the size of the test set of 'digits'"),
        ({"kind": "energy", "T": [0]}, "T[0]", "must be an integer at least 1 and at most 1,000"),
        ({"kind": "energy", "num_samples": 0}, "num_samples", "must be an integer at least 1 and at most 10,000,000"),
        ({"kind": "hessian"}, "kind", "must be one of 'train', 'time_sweep', 'landscape', 'energy'"),
    ],
)
def test_a_fault_of_an_analysis_names_its_field(stage: dict[str, Any], field: str, detail: str) -> None:
    error = fault(arm(train(), stage))
    assert (error.field, error.detail) == (f"arms[0].stages[1].{field}", detail)


def test_the_refusal_of_an_unknown_key_of_an_analysis_lists_the_known_keys() -> None:
    detail = fault(arm(train(), LANDSCAPE | {"sise": 5})).detail
    assert detail == "unknown key; did you mean 'size'? accepted here: kind, size, extent, split, num_samples"


def test_the_refusal_of_a_stage_that_is_no_mapping_says_what_is_accepted() -> None:
    assert (
        "a mapping with 'kind' one of 'train'"
        in fault(arm(train()) | {"arms": [{"name": "SDT", "stages": [3]}]}).detail
    )
