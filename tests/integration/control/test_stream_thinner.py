"""Tests of the thinner of streams: the events of single epochs go, everything else stays."""

from datetime import timedelta

import pytest

from service.control import stream_thinner
from service.control.stream_thinner import KEPT_FOR, StreamThinner
from service.events import ChainChanged, StageChanged, utc_now
from service.states import ExperimentState, WorkState
from tests.integration.control.conftest import Desk
from tests.integration.control.test_housekeeper import ended

W = WorkState
# Two chains at a time; the second stage of the first one fails after a lost attempt.
STREAM: list[StageChanged | ChainChanged] = [
    ChainChanged(chain="a", state=W.RUNNING),
    *(StageChanged(chain="a", stage=0, state=W.RUNNING, epoch=epoch) for epoch in range(3)),
    ChainChanged(chain="b", state=W.RUNNING),
    *(StageChanged(chain=chain, stage=0, state=W.RUNNING, epoch=3) for chain in "ab"),
    StageChanged(chain="a", stage=0, state=W.SUCCEEDED, epoch=3, metrics={"test/accuracy": 0.5}),
    *(StageChanged(chain="a", stage=1, state=W.RUNNING, epoch=epoch, attempts=1) for epoch in range(3)),
    StageChanged(chain="a", stage=1, state=W.WAITING, epoch=2),
    *(StageChanged(chain="a", stage=1, state=W.RUNNING, epoch=epoch, attempts=2) for epoch in (2, 3)),
    StageChanged(chain="a", stage=1, state=W.FAILED, epoch=3),
    ChainChanged(chain="a", state=W.FAILED),
]
# Of each stage all states, all starts, and the newest event: that of chain "b" is of an epoch, as if its end were lost.
LEFT = [STREAM[at] for at in (0, 1, 4, 6, 7, 8, 11, 12, 14, 15)]


def streamed(desk: Desk, state: ExperimentState = ExperimentState.SUCCEEDED) -> str:
    experiment_id = ended(desk, state)
    with desk.database.session() as repository:
        repository.curves.filled(experiment_id, 1)
        for event in STREAM:
            repository.events.add(experiment_id, event)
    return experiment_id


def stream(desk: Desk, experiment_id: str) -> list[tuple[str, object]]:
    with desk.database.reading() as repository:
        rows = repository.events.list_after(experiment_id)
    return [(row.type, row.data) for row in rows if row.type in ("chain", "stage")]


def thin(desk: Desk, after: timedelta = KEPT_FOR + timedelta(seconds=9)) -> None:
    now = utc_now() + after
    StreamThinner(desk.database, lambda: now).round()


def whole(events: list[StageChanged | ChainChanged]) -> list[tuple[str, object]]:
    return [(event.type, event.data()) for event in events]


@pytest.mark.parametrize("at_once", [1, 4, 5_000])
def test_the_events_of_single_epochs_go_and_all_states_stay(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(stream_thinner, "READ_AT_ONCE", at_once)
    monkeypatch.setattr(stream_thinner, "REMOVED_AT_ONCE", 2)
    thinned, other = streamed(desk), streamed(desk, ExperimentState.STARTING)
    thin(desk)
    assert stream(desk, thinned) == whole(LEFT)
    assert stream(desk, other) == whole(STREAM)
    with desk.database.session() as repository:
        assert repository.thinning.due(utc_now() + timedelta(days=1), limit=9) == []
        repository.events.add(thinned, STREAM[2])
    thin(desk)
    assert len(stream(desk, thinned)) == len(LEFT) + 1


def test_a_stream_is_whole_for_an_hour_and_until_the_curves_are_stored(desk: Desk) -> None:
    experiment_id = streamed(desk)
    thin(desk, KEPT_FOR - timedelta(seconds=9))
    assert stream(desk, experiment_id) == whole(STREAM)
    with desk.database.session() as repository:
        repository.experiments.get(experiment_id).has_curves = False
    thin(desk)
    assert stream(desk, experiment_id) == whole(STREAM)


def test_a_thinner_that_was_stopped_begins_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_thinner, "READ_AT_ONCE", 4)
    experiment_id, now = streamed(desk), utc_now() + KEPT_FOR + timedelta(seconds=9)
    stopped = StreamThinner(desk.database, lambda: now)
    stopped.ask_to_stop()
    stopped.round()
    assert stream(desk, experiment_id) == whole(STREAM)
    StreamThinner(desk.database, lambda: now).round()
    assert stream(desk, experiment_id) == whole(LEFT)


def test_a_retry_makes_the_stream_due_again(desk: Desk) -> None:
    experiment_id = streamed(desk, ExperimentState.FAILED)
    thin(desk)
    with desk.database.session() as repository:
        repository.requests.retry(experiment_id)
        assert not repository.experiments.get(experiment_id).is_stream_thinned
