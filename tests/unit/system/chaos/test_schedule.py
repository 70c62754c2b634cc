"""Tests of the schedule of faults: it depends on seed and round alone, and has every kind of fault."""

from collections import Counter

import pytest

from tests.system.chaos.faults import KILLS, SPECIALS
from tests.system.chaos.schedule import plan_round

EPOCHS = 52


@pytest.mark.parametrize("number", [1, 4])
def test_a_round_has_the_same_faults_when_it_is_run_alone(number: int) -> None:
    assert plan_round(7, number, EPOCHS, 5) == plan_round(7, number, EPOCHS, 5)
    assert plan_round(7, number, EPOCHS, 5) != plan_round(8, number, EPOCHS, 5)
    assert plan_round(7, number, EPOCHS, 5) != plan_round(7, number + 2, EPOCHS, 5)


def test_twenty_rounds_have_a_hundred_kills_of_every_kind_and_every_special_fault() -> None:
    rounds = [plan_round(1, number, EPOCHS, 5) for number in range(1, 21)]
    kills = [fault for plan in rounds for fault in plan if fault.names[0] in KILLS]
    assert len(kills) == 100
    assert any(len(fault.names) == 2 for fault in kills)
    counts = Counter(name for plan in rounds for fault in plan for name in fault.names)
    assert set(counts) == set(KILLS) | set(SPECIALS)
    assert min(counts[name] for name in KILLS) >= 5
    assert min(counts[name] for name in SPECIALS) >= 2


def test_faults_strike_in_the_order_of_their_epochs() -> None:
    for number in range(1, 21):
        epochs = [fault.at_epoch for fault in plan_round(1, number, EPOCHS, 5) if fault.at_epoch is not None]
        assert epochs == sorted(epochs)
        assert max(epochs, default=0) < EPOCHS
