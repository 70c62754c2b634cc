"""How far a search is, by its chains."""

from datetime import UTC, datetime, timedelta

import pytest

from service.control.searching import expected_end, progress
from service.states import WorkState
from service.store.tables import ChainRow, StageRow

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def chain(number: int, state: str, epoch: int, accuracy: float | None = None, seed: int = 0) -> ChainRow:
    metrics = {} if accuracy is None else {"val/accuracy": accuracy}
    stage = StageRow(index=0, kind="train", T=2, epochs=10, state=state, epoch=epoch, metrics=metrics, train_time_s=0.5)
    return ChainRow(
        id=f"TET{number}{seed}", arm="TET", seed=seed, configuration=number, hyperparameters={"lr": number},
        state=state, stages=[stage],
    )  # fmt: skip


def test_configurations_are_counted_over_their_seeds() -> None:
    chains = [
        chain(0, "succeeded", 10, 0.5), chain(0, "running", 3, 0.4, seed=1),
        chain(1, "stopped", 1, 0.1), chain(1, "stopped", 1, 0.1, seed=1),
        chain(2, "waiting", 0), chain(2, "waiting", 0, seed=1),
    ]  # fmt: skip
    [arm] = progress(["TET"], chains)
    assert (arm.num_configurations, arm.train_time_s, dict(arm.states)) == (
        3, 3.0, {WorkState.RUNNING: 1, WorkState.STOPPED: 1, WorkState.WAITING: 1},
    )  # fmt: skip


def test_the_best_is_complete_as_soon_as_one_is() -> None:
    ahead = [chain(0, "running", 3, 0.7), chain(1, "waiting", 0)]
    [arm] = progress(["TET"], ahead)
    assert arm.best is not None
    assert (arm.best.configuration, arm.best.complete) == ({"lr": 0}, False)
    [arm] = progress(["TET"], [*ahead, chain(2, "succeeded", 10, 0.6)])
    assert arm.best is not None
    assert (arm.best.configuration, arm.best.chains, arm.best.complete) == ({"lr": 2}, ("TET20",), True)


def test_an_arm_of_which_nothing_is_known_has_no_best() -> None:
    assert [arm.best for arm in progress(["SDT", "TET"], [chain(0, "waiting", 0)])] == [None, None]


def test_what_is_left_is_taken_to_go_as_what_has_ended() -> None:
    # Ended: 10 and 2 epochs, 6 on average; left: 6 - 3 of one, 6 of another; 15 are done in 15 s.
    chains = [chain(0, "succeeded", 10), chain(1, "stopped", 2), chain(2, "running", 3), chain(3, "waiting", 0)]
    end = expected_end(chains, BEGUN, BEGUN + timedelta(seconds=15))
    assert end is not None
    assert (end - BEGUN).total_seconds() == pytest.approx(24)


def test_before_the_first_epoch_there_is_no_telling() -> None:
    assert expected_end([chain(0, "running", 0)], BEGUN, BEGUN + timedelta(seconds=15)) is None
