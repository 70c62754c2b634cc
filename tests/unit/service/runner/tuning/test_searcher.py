"""Tests of the searcher through which Tune gets the stages of the board."""

import pickle
from typing import Any

import pytest
from ray.tune.search import Searcher

from service.plan import Chain
from service.runner.chains.board import Board, StageId
from service.runner.tuning.searcher import ChainSearcher

Ends = list[tuple[StageId, dict[str, Any] | None]]


def searcher(chains: tuple[Chain, ...], num_places: int = 9, **config: Any) -> tuple[ChainSearcher, Board, Ends]:
    """Return a searcher, its board, and the ends of trials, which the searcher records and reports to the board."""
    board, ends = Board(chains), []

    def on_end(stage: StageId, result: dict[str, Any] | None) -> None:
        ends.append((stage, result))
        board.lost(stage) if result is None else board.succeeded(stage)

    def config_of(stage: StageId) -> dict[str, Any]:
        return {"chain": stage.chain, "index": stage.index, **config}

    return ChainSearcher(board.take, config_of, on_end, lambda: num_places), board, ends


def test_a_stage_waits_only_for_the_stage_before_it_in_its_chain(chains: tuple[Chain, ...]) -> None:
    search, _, ends = searcher(chains)
    sdt, tit = (chain.id for chain in chains)
    assert search.suggest("1") == {"chain": sdt, "index": 0}
    assert search.suggest("2") == {"chain": tit, "index": 0}
    assert search.suggest("3") is None
    search.on_trial_complete("2", {"epoch": 2})
    assert search.suggest("3") == {"chain": tit, "index": 1}
    assert search.suggest("4") is None
    assert ends == [(StageId(tit, 0), {"epoch": 2})]


def test_a_stage_is_offered_only_when_a_slot_is_free(chains: tuple[Chain, ...]) -> None:
    search, _, _ = searcher(chains, num_places=1)
    first, second = (chain.id for chain in chains)
    assert search.suggest("1") == {"chain": first, "index": 0}
    assert search.suggest("2") is None
    search.on_trial_complete("1", {"epoch": 3})
    assert search.suggest("2") == {"chain": second, "index": 0}


@pytest.mark.parametrize(
    ("num_places", "num_workers", "num_offered"),
    [
        (2, 1, 2),
        (1, 1, 1),
        # A trial of two workers leaves no place, or one at which the next trial waits for a second place.
        (2, 2, 1),
        (3, 2, 2),
        # Trials that fit nowhere wait one by one for a node that is large enough.
        (0, 1, 1),
        (1, 2, 1),
    ],
)
def test_stages_are_offered_for_the_places_that_other_trials_leave(
    chains: tuple[Chain, ...], num_places: int, num_workers: int, num_offered: int
) -> None:
    search, _, _ = searcher(chains, num_places, num_workers=num_workers)
    offered = [search.suggest("1"), search.suggest("2")]
    assert sum(each is not None for each in offered) == num_offered


def test_the_searcher_is_finished_when_all_stages_have_ended(chains: tuple[Chain, ...]) -> None:
    search, board, _ = searcher(chains[:1])
    search.suggest("1")
    search.on_trial_complete("1", {"epoch": 3})
    assert search.suggest("2") == Searcher.FINISHED
    assert board.over


def test_a_lost_trial_has_no_result_even_if_it_had_reported(chains: tuple[Chain, ...]) -> None:
    search, _, ends = searcher(chains[:1])
    first = search.suggest("1")
    search.on_trial_complete("1", {"epoch": 1}, error=True)
    assert ends == [(StageId(chains[0].id, 0), None)]
    assert search.suggest("2") == first


def test_an_end_that_is_reported_twice_counts_once(chains: tuple[Chain, ...]) -> None:
    search, _, ends = searcher(chains[:1])
    search.suggest("1")
    for _ in range(2):
        search.on_trial_complete("1", {"epoch": 3})
    search.on_trial_complete("never suggested", {"epoch": 3})
    assert len(ends) == 1


def test_a_pickled_searcher_starts_nothing(chains: tuple[Chain, ...]) -> None:
    search, _, _ = searcher(chains)
    assert pickle.loads(pickle.dumps(search)).suggest("1") == Searcher.FINISHED
