"""Tests of the next configuration of a search that learns."""

from typing import Any

import pytest

from service.search.learning import next_configuration
from service.search.proposals import random_configurations
from service.search.seen import Seen
from service.spec.search import Search

SPACE: dict[str, Any] = {
    "optimizer.lr": {"log_range": [1e-4, 1.0]},
    "batch_size": {"int_range": [16, 64]},
    "optimizer.name": {"choice": ["adam", "sgd"]},
}


def learning_search(space: dict[str, Any] | None = None, goal: tuple[str, ...] = ("val/accuracy",)) -> Search:
    raw = {"method": "tpe", "num_configurations": 50, "space": space or SPACE, "goal": list(goal)}
    return Search.model_validate(raw)


def seen(search: Search, num: int, **fields: Any) -> list[Seen]:
    """Return random configurations with outcomes: the smaller the batch, the better the outcome."""
    configurations = []
    for values, _ in zip(random_configurations(search.space, 0), range(num), strict=False):
        accuracy = 1 - values["batch_size"] / 100
        outcome = (accuracy, 1 - accuracy)[: len(search.goal)]
        configurations.append(Seen(values, **({"state": "complete", "outcome": outcome} | fields)))
    return configurations


def accept_all(_: dict[str, Any]) -> bool:
    return True


def test_the_same_arm_and_outcomes_give_the_same_proposal() -> None:
    search = learning_search()
    first, again = (next_configuration(search, search.space, "TET", seen(search, 15), accept_all) for _ in range(2))
    assert first == again
    assert first != next_configuration(search, search.space, "SDT", seen(search, 15), accept_all)
    assert first != next_configuration(search, search.space, "TET", seen(search, 16), accept_all)


def test_a_proposal_lies_in_the_space() -> None:
    search = learning_search()
    proposal = next_configuration(search, search.space, "TET", seen(search, 20), accept_all)
    assert proposal is not None
    assert list(proposal) == list(SPACE)
    assert 1e-4 <= proposal["optimizer.lr"] <= 1
    assert isinstance(proposal["batch_size"], int)
    assert 16 <= proposal["batch_size"] <= 64
    assert proposal["optimizer.name"] in ("adam", "sgd")


def test_proposals_are_near_the_best_outcomes() -> None:
    search = learning_search()
    sizes = []
    known = seen(search, 20)
    for _ in range(10):
        proposal = next_configuration(search, search.space, "TET", known, accept_all)
        assert proposal is not None
        sizes.append(proposal["batch_size"])
        known.append(Seen(proposal, "complete", (1 - proposal["batch_size"] / 100,)))
    assert sum(sizes) / len(sizes) < 30  # random sizes have a mean of 40


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "stopped", "outcome": (), "progress": {1: 0.2, 3: 0.4}},
        {"state": "broken", "outcome": ()},
        {"state": "running", "outcome": ()},
        {"state": "failed", "outcome": ()},
    ],
    ids=lambda fields: str(fields["state"]),
)
@pytest.mark.parametrize("goal", [("val/accuracy",), ("val/accuracy", "val/energy_j")], ids=["one", "two"])
def test_earlier_configurations_may_be_in_any_state(fields: dict[str, Any], goal: tuple[str, ...]) -> None:
    search = learning_search(goal=goal)
    assert (
        next_configuration(
            search, search.space, "TET", [*seen(search, 12), *seen(search, 14, **fields)[12:]], accept_all
        )
        is not None
    )
    assert next_configuration(search, search.space, "TET", seen(search, 12, **fields), accept_all) is not None


def test_a_refused_configuration_is_replaced_by_another_one_until_none_is_left() -> None:
    search = learning_search({"optimizer.name": {"choice": ["adam", "sgd"]}, "batch_size": {"int_range": [1, 6]}})
    tried: list[Seen] = []
    while True:
        taken = [each.values for each in tried]
        proposal = next_configuration(
            search,
            search.space,
            "TET",
            tried,
            lambda values, taken=taken: values not in taken,  # type: ignore[misc]
        )
        if proposal is None:
            break
        tried.append(Seen(proposal, "complete", (0.5,)))
    assert len(tried) == 12
