"""Tests of the expected times of stages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.plan import Chain, plan
from service.runner.chains import board
from service.runner.chains.board import Board, StageId
from service.runner.chains.chain_order import ChainOrder
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.chains.stage_costs import StageCosts
from service.runner.commits.attempt import Attempt
from service.spec import parse
from service.states import WorkState
from service.storage import ExperimentFolder, StageFolder
from tests.unit.service.runner.writing import METRICS, begin
from tests.unit.service.spec.test_spec import spec, tet, train

ARMS = [
    {"name": "SDT", "stages": [train(epochs=3)]},
    {"name": "TIT", "stages": [train(T=2, epochs=2, loss=tet()), train(epochs=5, loss=tet())]},
]


@pytest.fixture
def ledger(experiment: ExperimentFolder, tmp_path: Path) -> Iterator[Ledger]:
    chains = plan(parse(spec(arms=ARMS, baseline="SDT", seeds=[0, 1])))
    events = EventFile(tmp_path / "events.jsonl")
    yield Ledger(experiment, chains, events)
    events.close()


def commit(attempt: Attempt, epoch: int, of: int, at_ms: int) -> None:
    attempt.commit(epoch=epoch, epochs=of, at_ms=at_ms, metrics=METRICS, weights_sha256="01")


def run_stage(folder: StageFolder, epochs: int, seconds: float) -> None:
    """Write a stage that took so long, from its start to its last commit."""
    attempt = begin(folder)  # at 1 s
    for epoch in range(1, epochs + 1):
        commit(attempt, epoch, epochs, at_ms=1_000 + round(1_000 * seconds * epoch / epochs))
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=10**9)


def costs_of(costs: StageCosts, chain: Chain) -> list[float]:
    return [costs.of(chain, stage) for stage in chain.stages]


def test_before_any_stage_has_ended_the_work_counts(ledger: Ledger) -> None:
    costs = StageCosts(ledger)
    sdt, tit, *_ = ledger.chains.values()
    assert (costs_of(costs, sdt), costs_of(costs, tit)) == ([12], [4, 20])
    assert costs.mean_s == 0


def test_measured_times_of_the_nearest_kind_count(experiment: ExperimentFolder, ledger: Ledger) -> None:
    costs = StageCosts(ledger)
    sdt, tit, other_sdt, other_tit = ledger.chains.values()
    run_stage(experiment.stage(sdt.id, 0), 3, seconds=6)
    ledger.refresh(StageId(sdt.id, 0))
    costs.ended(StageId(sdt.id, 0))
    assert costs_of(costs, other_sdt) == [6], "the same stage of another seed"
    assert costs_of(costs, tit) == [2, 10], "half a second a unit, as measured in the only arm that has ended"
    run_stage(experiment.stage(tit.id, 0), 2, seconds=8)
    ledger.refresh(StageId(tit.id, 0))
    costs.ended(StageId(tit.id, 0))
    assert costs_of(costs, other_tit) == [8, 40], "2 s a unit, as measured in the other stage of the arm"
    assert costs_of(costs, other_sdt) == [6]
    assert costs.mean_s == 7
    assert costs_of(StageCosts(ledger), other_tit) == [8, 40], "a later driver reads the same from storage"


def test_of_a_stage_that_runs_only_the_epochs_count_that_are_left(experiment: ExperimentFolder, ledger: Ledger) -> None:
    tit = [*ledger.chains.values()][1]
    run_stage(experiment.stage(tit.id, 0), 2, seconds=4)
    commit(begin(experiment.stage(tit.id, 1)), 1, of=5, at_ms=2_000)
    for index in range(2):
        ledger.refresh(StageId(tit.id, index))
    assert StageCosts(ledger).left_of(tit, 1) == pytest.approx((16.0,))


def test_the_board_takes_the_chain_with_the_most_work_left(ledger: Ledger) -> None:
    order = ChainOrder(StageCosts(ledger))
    order.num_slots = 2
    played = Board(ledger.chains.values(), choose=order)
    sdt, tit, other_sdt, other_tit = (chain.id for chain in ledger.chains.values())
    assert [played.take(), played.take()] == [StageId(tit, 0), StageId(other_tit, 0)]
    played.succeeded(StageId(tit, 0))
    assert played.take() == StageId(tit, 1), "20 left, and 12 of a chain that has not started"
    played.succeeded(StageId(other_tit, 0))
    played.failed_for_good(StageId(tit, 1))
    assert [played.take(), played.take(), played.take()] == [
        StageId(other_tit, 1),
        StageId(sdt, 0),
        StageId(other_sdt, 0),
    ]
    assert not played.has_ready


def test_many_chains_are_not_chosen_one_by_one(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "MAX_CHOSEN_AMONG", 3)
    order = ChainOrder(StageCosts(ledger))
    order.num_slots = 2
    played = Board(ledger.chains.values(), choose=order)
    sdt, tit, other_sdt, other_tit = (chain.id for chain in ledger.chains.values())
    first = played.take()
    assert first == StageId(sdt, 0), "four chains are left: the plan's order"
    played.failed_for_good(first)
    assert [played.take(), played.take(), played.take()] == [
        StageId(tit, 0),
        StageId(other_tit, 0),
        StageId(other_sdt, 0),
    ]
