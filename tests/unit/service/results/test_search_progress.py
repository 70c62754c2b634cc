"""How far a search is, by what its configurations' chains come to."""

from datetime import UTC, datetime, timedelta

import pytest

from service.results.search_progress import Best, arm_searches, expected_end
from service.states import WorkState
from service.store.sums import ConfigurationTotals

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def searched(number: int, *states: str, done: int = 0, accuracy: float | None = None) -> ConfigurationTotals:
    num_succeeded = states.count("succeeded")
    of_succeeded = accuracy if num_succeeded else None
    found = frozenset(map(WorkState, states))
    return ConfigurationTotals("TET", number, found, done, 20 * len(states), 0.5, accuracy, num_succeeded, of_succeeded)


def test_configurations_are_counted_over_their_seeds() -> None:
    [arm] = arm_searches(
        ["TET"],
        [searched(0, "succeeded", "running"), searched(1, "stopped", "stopped"), searched(2, "waiting", "waiting")],
    )
    assert (arm.num_configurations, arm.train_time_s, dict(arm.states)) == (
        3,
        1.5,
        {WorkState.RUNNING: 1, WorkState.STOPPED: 1, WorkState.WAITING: 1},
    )


def test_one_chain_that_has_ended_badly_ends_its_configuration() -> None:
    [arm] = arm_searches(["TET"], [searched(0, "succeeded", "failed"), searched(1, "running", "stopped", accuracy=0.9)])
    assert dict(arm.states) == {WorkState.FAILED: 1, WorkState.STOPPED: 1}
    assert arm.best is None


def test_the_best_is_complete_as_soon_as_one_is() -> None:
    ahead = [searched(0, "running", accuracy=0.7), searched(1, "waiting")]
    [arm] = arm_searches(["TET"], ahead)
    assert arm.best == Best(0, 0.7, complete=False)
    [arm] = arm_searches(
        ["TET"], [*ahead, searched(2, "succeeded", accuracy=0.6), searched(3, "succeeded", accuracy=0.6)]
    )
    assert arm.best == Best(2, 0.6, complete=True)


def test_an_arm_of_which_nothing_is_known_has_no_best() -> None:
    assert [arm.best for arm in arm_searches(["SDT", "TET"], [searched(0, "waiting")])] == [None, None]


# Ended: 20 and 4, 12 on average; left: 12 - 6 of one, 12 of another.
FOUR = [
    searched(0, "succeeded", done=20),
    searched(1, "stopped", done=4),
    searched(2, "running", done=6),
    searched(3, "waiting"),
]


def test_what_is_left_is_taken_to_go_as_what_has_ended() -> None:
    end = expected_end(FOUR, BEGUN, 0, BEGUN + timedelta(seconds=15))
    assert end is not None
    assert (end - BEGUN).total_seconds() == pytest.approx(15 + 18 / 2)  # 30 are done in 15 s


def test_what_was_done_before_a_rest_says_nothing_of_the_pace_behind_it() -> None:
    resumed = BEGUN + timedelta(days=7)
    end = expected_end(FOUR, resumed, 24, resumed + timedelta(seconds=15))
    assert end is not None
    assert (end - resumed).total_seconds() == pytest.approx(15 + 18 / (6 / 15))


@pytest.mark.parametrize("work_then", [30, 31])
def test_before_the_first_epoch_of_a_stretch_there_is_no_telling(work_then: int) -> None:
    assert expected_end(FOUR, BEGUN, work_then, BEGUN + timedelta(seconds=15)) is None
    assert expected_end([searched(0, "running")], BEGUN, 0, BEGUN + timedelta(seconds=15)) is None
