"""Tests of the budgets of a plan: what they count, and that a spec beyond them is refused before it is planned."""

import gc
import re
from typing import Any

import pytest

from service.errors import FieldError, SpecInvalid
from service.plan import planned
from service.presets.catalogue import presets
from service.search.configurations import ConfiguredArm
from service.settings import Settings, variable
from service.spec.budgets import Budgets
from service.spec.experiment import parse
from tests.unit.service.spec.test_spec import spec, train

DEFAULTS = Settings.from_environment({})
BY_DEFAULT = Budgets(DEFAULTS.max_chains, DEFAULTS.max_stages, DEFAULTS.max_configured_stages)
LR = {"optimizer.lr": {"log_range": [1e-4, 1e-2]}}


def sized(num_arms: int, num_stages: int, num_seeds: int, **changes: Any) -> dict[str, Any]:
    """Return a spec of equal arms."""
    arms = [{"name": f"arm {number}", "stages": [train()] * num_stages} for number in range(num_arms)]
    return spec(arms=arms, baseline="arm 0", seeds=list(range(num_seeds)), **changes)


def searching(num_stages: int, **search: Any) -> dict[str, Any]:
    """Return a spec of one arm with a search."""
    return sized(1, num_stages, 1, validation=0.1, search={"method": "random", "space": LR, **search})


def refused(raw: dict[str, Any], budgets: Budgets = BY_DEFAULT) -> dict[str, FieldError]:
    """Return the faults of a spec that is too large, by field and setting."""
    with pytest.raises(SpecInvalid) as caught:
        planned(parse(raw), budgets)
    settings = [re.findall("TET_[A-Z_]+", error.detail) for error in caught.value.errors]
    assert all(len(each) == 1 for each in settings), caught.value
    return {f"{error.field} {each[0]}": error for error, each in zip(caught.value.errors, settings, strict=True)}


def test_each_budget_names_a_setting_that_exists() -> None:
    raw = sized(3, 2, 2)
    named = {key.split()[1] for key in refused(raw, Budgets(1, 1, 1))}
    assert named == {"TET_MAX_CHAINS", "TET_MAX_STAGES", "TET_MAX_CONFIGURED_STAGES"}
    assert named <= {variable(name) for name in Settings.model_fields}


def test_a_plan_at_its_budgets_is_accepted_and_one_beyond_is_refused() -> None:
    raw = sized(3, 2, 5)
    plan = planned(parse(raw), Budgets(15, 30, 6))
    assert (len(plan), plan.num_stages, len([*plan])) == (15, 30, 15)
    assert list(refused(raw, Budgets(14, 30, 6))) == ["seeds TET_MAX_CHAINS"]
    assert list(refused(raw, Budgets(15, 29, 6))) == ["seeds TET_MAX_STAGES"]
    assert list(refused(raw, Budgets(15, 30, 5))) == ["arms TET_MAX_CONFIGURED_STAGES"]


def test_a_refusal_states_the_number_the_limit_and_the_next_step() -> None:
    fault = refused(sized(1, 100, 100_000))["seeds TET_MAX_STAGES"]
    assert fault.value == "10,000,000 stages"
    assert "at most 20,000 stages over all chains (TET_MAX_STAGES)" in fault.detail
    assert "100,000 seeds" in fault.detail
    assert "Post several smaller experiments" in fault.detail


@pytest.mark.parametrize(
    ("search", "field"),
    [
        ({"num_configurations": 5_000}, "search.num_configurations"),
        (
            {
                "method": "grid",
                "space": {
                    "optimizer.lr": {"range": [0.1, 0.9], "points": 70},
                    "surrogate.gamma": {"range": [0.1, 0.9], "points": 70},
                },
            },
            "search.space",
        ),
        ({"num_configurations": 900, "method": "tpe"}, "search.num_configurations"),
    ],
)
def test_configurations_times_a_hundred_stages_are_refused(search: dict[str, Any], field: str) -> None:
    by_field = refused(searching(100, **search))
    assert {key.split()[0] for key in by_field} == {field}


def test_the_ends_of_ranges_count_before_they_are_tried() -> None:
    space = {f"arms.arm 0.stages.{number}.epochs": {"choice": [1, 2, 3, 4]} for number in range(50)}
    assert list(refused(searching(100, space=space, num_configurations=2))) == [
        "search.num_configurations TET_MAX_CONFIGURED_STAGES"
    ]


def test_a_search_that_learns_counts_the_configurations_that_are_resolved_when_it_is_posted() -> None:
    raw = searching(4, num_configurations=500, method="tpe")
    assert len(planned(parse(raw), Budgets(500, 2_000, 100))) == 500
    assert refused({**raw, "search": {**raw["search"], "method": "random"}}, Budgets(500, 2_000, 100))


def test_a_stage_with_a_long_list_counts_as_several() -> None:
    sweep = {"kind": "time_sweep", "T": list(range(1, 1_001))}
    raw = searching(1, num_configurations=100)
    budgets = Budgets(100, 200, 1_000)
    assert len(planned(parse(raw), budgets)) == 100
    raw["arms"][0]["stages"] = [train(), sweep]
    assert list(refused(raw, budgets)) == ["search.num_configurations TET_MAX_CONFIGURED_STAGES"]


def test_a_grid_whose_size_has_hundreds_of_digits_is_refused_in_a_short_error() -> None:
    space = {f"arms.arm 0.stages.{number}.epochs": {"int_range": [1, 100_000]} for number in range(50)}
    with pytest.raises(SpecInvalid, match="at most 5,000") as caught:
        planned(parse(searching(50, method="grid", space=space)), Budgets(10**9, 10**9, 10**9))
    assert len(str(caught.value)) < 2_000


def test_planning_keeps_no_configuration_in_memory() -> None:
    def held() -> int:
        gc.collect()
        return sum(type(each) is ConfiguredArm for each in gc.get_objects())

    before = held()
    assert len(planned(parse(searching(1, num_configurations=50)), BY_DEFAULT)) == 50
    assert held() == before


def test_faults_of_long_lists_are_found_in_one_pass() -> None:
    # Comparing each value with all earlier ones would take minutes.
    values = [number % 20_000 for number in range(60_000)]
    stages = [{"kind": "energy"}] * 20_000
    raw = searching(1, num_configurations=2, space={"batch_size": {"choice": values}})
    raw["arms"][0]["stages"] = stages
    with pytest.raises(SpecInvalid, match=r"must come after a train stage") as caught:
        parse(raw)
    assert caught.value.total > 20_000


def test_a_stored_spec_is_planned_whatever_the_budgets_are() -> None:
    assert len(planned(parse(sized(2, 1, 30_000)))) == 60_000


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_needs_less_than_a_tenth_of_each_budget(name: str) -> None:
    tenth = Budgets(BY_DEFAULT.max_chains // 10, BY_DEFAULT.max_stages // 10, BY_DEFAULT.max_configured_stages // 10)
    assert len(planned(parse(presets()[name].with_changes(None)), tenth)) > 0
