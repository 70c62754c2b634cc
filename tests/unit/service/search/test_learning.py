"""What a search that learns tries next."""

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


def search(space: dict[str, Any] | None = None, goal: tuple[str, ...] = ("val/accuracy",)) -> Search:
    raw = {"method": "tpe", "num_configurations": 50, "space": space or SPACE, "goal": list(goal)}
    return Search.model_validate(raw)


def seen(of: Search, num: int, **fields: Any) -> list[Seen]:
    """So many that were drawn, the better the smaller their batch."""
    found = []
    for configuration, _ in zip(random_configurations(of.space, 0), range(num), strict=False):
        accuracy = 1 - configuration["batch_size"] / 100
        outcome = (accuracy, 1 - accuracy)[: len(of.goal)]
        found.append(Seen(configuration, **({"state": "complete", "outcome": outcome} | fields)))
    return found


def anything(_: dict[str, Any]) -> bool:
    return True


def test_it_proposes_the_same_to_whoever_has_seen_the_same() -> None:
    of = search()
    first, again = (next_configuration(of, of.space, "TET", seen(of, 15), anything) for _ in range(2))
    assert first == again
    assert first != next_configuration(of, of.space, "SDT", seen(of, 15), anything)
    assert first != next_configuration(of, of.space, "TET", seen(of, 16), anything)


def test_what_it_proposes_lies_in_the_space() -> None:
    of = search()
    found = next_configuration(of, of.space, "TET", seen(of, 20), anything)
    assert found is not None
    assert list(found) == list(SPACE)
    assert 1e-4 <= found["optimizer.lr"] <= 1
    assert isinstance(found["batch_size"], int)
    assert 16 <= found["batch_size"] <= 64
    assert found["optimizer.name"] in ("adam", "sgd")


def test_it_goes_where_it_has_seen_the_best() -> None:
    of = search()
    sizes = []
    known = seen(of, 20)
    for _ in range(10):
        found = next_configuration(of, of.space, "TET", known, anything)
        assert found is not None
        sizes.append(found["batch_size"])
        known.append(Seen(found, "complete", (1 - found["batch_size"] / 100,)))
    assert sum(sizes) / len(sizes) < 30  # 40 is the middle


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
def test_it_can_learn_whatever_has_become_of_the_others(fields: dict[str, Any], goal: tuple[str, ...]) -> None:
    of = search(goal=goal)
    assert next_configuration(of, of.space, "TET", [*seen(of, 12), *seen(of, 14, **fields)[12:]], anything) is not None
    assert next_configuration(of, of.space, "TET", seen(of, 12, **fields), anything) is not None


def test_what_is_not_accepted_is_drawn_again_until_nothing_is_left() -> None:
    of = search({"optimizer.name": {"choice": ["adam", "sgd"]}, "batch_size": {"int_range": [1, 6]}})
    tried: list[Seen] = []
    while True:
        taken = [each.values for each in tried]
        found = next_configuration(of, of.space, "TET", tried, lambda values, taken=taken: values not in taken)  # type: ignore[misc]
        if found is None:
            break
        tried.append(Seen(found, "complete", (0.5,)))
    assert len(tried) == 12
