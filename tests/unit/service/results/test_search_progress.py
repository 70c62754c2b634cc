"""Tests of the progress of a search and of its expected end."""

from datetime import UTC, datetime, timedelta

import pytest

from service.results.search_progress import Best, arm_searches, expected_end
from service.states import WorkState
from service.store.sums import ConfigurationTotals

START = datetime(2026, 1, 1, tzinfo=UTC)


def searched(number: int, *states: str, done: int = 0, accuracy: float | None = None) -> ConfigurationTotals:
    """Return a configuration with a chain in each of these states; `done` is its work in epochs times T."""
    num_succeeded = states.count("succeeded")
    of_succeeded = accuracy if num_succeeded else None
    of_chains = frozenset(map(WorkState, states))
    return ConfigurationTotals(
        "TET", number, of_chains, done, 20 * len(states), 0.5, accuracy, num_succeeded, of_succeeded
    )


def test_configurations_are_counted_by_the_state_of_all_their_seeds() -> None:
    [arm] = arm_searches(
        ["TET"],
        [searched(0, "succeeded", "running"), searched(1, "stopped", "stopped"), searched(2, "waiting", "waiting")],
    )
    assert (arm.num_configurations, arm.train_time_s, dict(arm.states)) == (
        3,
        1.5,
        {WorkState.RUNNING: 1, WorkState.STOPPED: 1, WorkState.WAITING: 1},
    )


def test_a_configuration_with_a_failed_or_stopped_chain_has_the_state_of_that_chain() -> None:
    [arm] = arm_searches(["TET"], [searched(0, "succeeded", "failed"), searched(1, "running", "stopped", accuracy=0.9)])
    assert dict(arm.states) == {WorkState.FAILED: 1, WorkState.STOPPED: 1}
    assert arm.best is None


def test_a_succeeded_configuration_is_preferred_to_a_running_one() -> None:
    unfinished = [searched(0, "running", accuracy=0.7), searched(1, "waiting")]
    [arm] = arm_searches(["TET"], unfinished)
    assert arm.best == Best(0, 0.7, complete=False)
    [arm] = arm_searches(
        ["TET"], [*unfinished, searched(2, "succeeded", accuracy=0.6), searched(3, "succeeded", accuracy=0.6)]
    )
    assert arm.best == Best(2, 0.6, complete=True)


def test_an_arm_without_any_accuracy_has_no_best_configuration() -> None:
    assert [arm.best for arm in arm_searches(["SDT", "TET"], [searched(0, "waiting")])] == [None, None]


# The two ended configurations took 20 and 4 units of work, 12 on average. So the running one has 12 - 6 units left, and
# the waiting one has 12.
FOUR = [
    searched(0, "succeeded", done=20),
    searched(1, "stopped", done=4),
    searched(2, "running", done=6),
    searched(3, "waiting"),
]


def test_an_unfinished_configuration_is_expected_to_need_the_average_work() -> None:
    end = expected_end(FOUR, START, 0, START + timedelta(seconds=15))
    assert end is not None
    assert (end - START).total_seconds() == pytest.approx(15 + 18 / 2)  # 30 units of work were done in 15 s


def test_work_before_a_pause_does_not_count_for_the_pace_after_it() -> None:
    resumed = START + timedelta(days=7)
    end = expected_end(FOUR, resumed, 24, resumed + timedelta(seconds=15))
    assert end is not None
    assert (end - resumed).total_seconds() == pytest.approx(15 + 18 / (6 / 15))


@pytest.mark.parametrize("work_then", [30, 31])
def test_before_the_first_epoch_of_a_stretch_no_end_is_expected(work_then: int) -> None:
    assert expected_end(FOUR, START, work_then, START + timedelta(seconds=15)) is None
    assert expected_end([searched(0, "running")], START, 0, START + timedelta(seconds=15)) is None
