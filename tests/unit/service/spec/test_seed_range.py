"""Tests of seeds that are added until the arms are decided: the forms, and what is refused."""

from typing import Any

import pytest

from service.plan import plan
from service.spec import parse
from service.spec.seed_range import AHEAD
from tests.unit.service.spec.test_spec import fault, faults, spec, train

UNTIL = {"first": 10, "at_most": 30, "until": "decided"}
TWO_ARMS = [{"name": "SDT", "stages": [train()]}, {"name": "TET", "stages": [train()]}]


def test_a_range_of_seeds_is_read_with_its_defaults_and_stored_as_posted() -> None:
    experiment = parse(spec(seeds=UNTIL))
    assert experiment.until is not None
    assert (experiment.until.ahead, experiment.until.half_width) == (AHEAD, None)
    assert experiment.all_seeds == tuple(range(10, 40))
    assert experiment.model_dump(mode="json", exclude_unset=True)["seeds"] == UNTIL
    width = parse(spec(seeds=UNTIL | {"until": {"half_width": 0.005}, "ahead": 0})).until
    assert width is not None
    assert (width.ahead, width.half_width) == (0, 0.005)


def test_a_list_of_seeds_means_what_it_meant() -> None:
    experiment = parse(spec(seeds=[7, 2]))
    assert (experiment.until, experiment.all_seeds) == (None, (7, 2))


def test_the_plan_has_the_chains_of_all_seeds_in_numeric_order() -> None:
    chains = plan(parse(spec(arms=TWO_ARMS, seeds=UNTIL | {"at_most": 5})))
    assert [(chain.seed, chain.arm) for chain in chains] == [(s, a) for s in range(10, 15) for a in ("SDT", "TET")]


@pytest.mark.parametrize(
    ("seeds", "field", "text"),
    [
        (3, "seeds", "must be a list, or a mapping with the keys first, at_most, until, ahead"),
        ([], "seeds", "at least 1 item"),
        (["a"], "seeds[0]", "must be an integer at least 0"),
        (UNTIL | {"until": "bored"}, "seeds.until", "one of 'decided', or a mapping with the keys half_width"),
        (UNTIL | {"until": {"half_width": 0.0}}, "seeds.until.half_width", "above 0 and at most 1"),
        ({"at_most": 30}, "seeds.until", "is required: one of 'decided', or a mapping with the keys half_width"),
        (UNTIL | {"at_most": 1_001}, "seeds.at_most", "at least 1 and at most 1,000"),
        (UNTIL | {"ahead": -1}, "seeds.ahead", "at least 0"),
        (UNTIL | {"most": 3}, "seeds.most", "unknown key; did you mean"),
        (UNTIL | {"first": 2**31 - 5}, "seeds.first", "the last seed at 2,147,483,647 or below"),
    ],
)
def test_other_forms_are_refused_with_what_is_accepted(seeds: Any, field: str, text: str) -> None:
    refused = fault(spec(seeds=seeds))
    assert refused.field == field
    assert text in refused.detail


@pytest.mark.parametrize(("num_arms", "least"), [(2, 5), (3, 6)])
def test_fewer_seeds_than_can_decide_anything_are_refused(num_arms: int, least: int) -> None:
    arms = [{"name": f"arm {number}", "stages": [train()]} for number in range(num_arms)]
    assert parse(spec(arms=arms, baseline=None, seeds=UNTIL | {"at_most": least}))
    refused = fault(spec(arms=arms, baseline=None, seeds=UNTIL | {"at_most": least - 1}))
    assert refused.field == "seeds.at_most"
    assert refused.detail.startswith(f"must be at least {least}: with {num_arms - 1} pair")


def test_named_pairs_set_the_level_and_must_name_every_arm() -> None:
    pair = [{"arm": "TET", "to": "SDT"}]
    assert parse(spec(arms=TWO_ARMS, seeds=UNTIL | {"at_most": 5}, compare=pair))
    refused = fault(spec(seeds=UNTIL, compare=pair))
    assert (refused.field, refused.value) == ("arms[2].name", "TIT")
    assert "must be compared with another arm" in refused.detail


def test_an_arm_alone_is_refused() -> None:
    assert fault(spec(arms=TWO_ARMS[:1], seeds=UNTIL)).field == "arms[0].name"


def test_a_search_and_early_stopping_need_a_list() -> None:
    search = {"method": "random", "num_configurations": 2, "space": {"optimizer.lr": {"range": [0.1, 0.2]}}}
    found = faults(spec(seeds=UNTIL, search=search, validation=0.1))
    assert "must be a list beside 'search'" in found["seeds"].detail
    stopping = spec(seeds=UNTIL, early_stopping={"name": "asha"})
    assert "must be a list beside 'early_stopping'" in faults(stopping)["seeds"].detail


def test_too_many_chains_are_counted_with_all_seeds() -> None:
    arms = [{"name": f"arm {number}", "stages": [train()]} for number in range(101)]
    assert "at most 100,000 chains" in fault(spec(arms=arms, baseline=None, seeds=UNTIL | {"at_most": 1000})).detail
