"""Tests of the board of a search: held and stopped chains, and the limit on open configurations."""

from dataclasses import replace

from service.plan import Chain
from service.runner.chains.board import Answer, Board, StageId
from tests.unit.service.runner.chains.test_board import chain, take


def seeds(number: int, *names: str, num_stages: int = 1) -> list[Chain]:
    """Return the chains of one configuration."""
    return [replace(chain(name, num_stages), arm="TET", number=number) for name in names]


def test_a_held_chain_is_not_offered_until_it_is_released() -> None:
    board = Board([*seeds(0, "a", "b")])
    a, b = take(board), take(board)
    board.hold("a")
    board.lost(a)
    assert board.take() is Answer.WAIT
    board.release("a")
    assert take(board) == a
    board.succeeded(a)
    board.succeeded(b)
    assert board.over


def test_a_chain_released_while_its_trial_runs_is_offered_when_the_trial_has_ended() -> None:
    board = Board([*seeds(0, "a")])
    a = take(board)
    board.hold("a")
    board.release("a")
    assert board.take() is Answer.WAIT
    board.lost(a)
    assert take(board) == a
    assert board.take() is Answer.WAIT


def test_a_stopped_chain_is_over_but_has_not_failed() -> None:
    board = Board([*seeds(0, "a", "b", "c")])
    a = take(board)
    for name in ("a", "b", "c"):
        board.stop(name)
    board.lost(a)
    assert board.take() is Answer.FINISHED
    assert board.over
    assert board.failed_chains == []


def test_stopping_a_chain_that_has_ended_changes_nothing() -> None:
    board = Board([*seeds(0, "a")])
    board.succeeded(take(board))
    board.stop("a")
    assert board.over


def test_all_seeds_of_an_open_configuration_run_before_another_one_is_opened() -> None:
    board = Board([*seeds(0, "a0", "a1"), *seeds(1, "b0", "b1")], max_open=1)
    a0, a1 = take(board), take(board)
    assert board.take() is Answer.WAIT
    board.succeeded(a0)
    assert board.take() is Answer.WAIT  # its other seed still runs
    board.succeeded(a1)
    assert [take(board), take(board)] == [StageId("b0", 0), StageId("b1", 0)]


def test_a_seed_of_an_open_configuration_comes_before_closed_configurations() -> None:
    a, b = seeds(0, "a0", "a1"), seeds(1, "b0", "b1")
    board = Board([a[0], b[0], a[1], b[1]], max_open=1)  # the configurations alternate, as two arms do
    assert [take(board), take(board)] == [StageId("a0", 0), StageId("a1", 0)]


def test_a_stop_lets_the_next_configuration_open() -> None:
    board = Board([*seeds(0, "a"), *seeds(1, "b")], max_open=1)
    a = take(board)
    board.stop("a")
    board.lost(a)
    assert take(board) == StageId("b", 0)


def test_a_failure_lets_the_next_configuration_open() -> None:
    board = Board([*seeds(0, "a"), *seeds(1, "b")], max_open=1)
    board.failed_for_good(take(board))
    assert take(board) == StageId("b", 0)


def test_a_later_driver_continues_with_the_open_configurations() -> None:
    chains = [*seeds(0, "a"), *seeds(1, "b"), *seeds(2, "c", num_stages=2)]
    board = Board(chains, started=frozenset({"b"}), stopped=frozenset({"a"}), max_open=1)
    assert take(board) == StageId("b", 0)
    assert board.take() is Answer.WAIT
    board = Board(chains, done={"a": 1, "c": 1}, held=frozenset({"b"}), max_open=2)
    assert take(board) == StageId("c", 1)
    board.release("b")
    assert take(board) == StageId("b", 0)


def test_a_limit_that_is_set_later_has_the_same_effect() -> None:
    a, b = seeds(0, "a0", "a1"), seeds(1, "b0", "b1")
    board = Board([a[0], b[0], a[1], b[1]], started=frozenset({"b0"}))
    board.limit_open(1)
    assert [take(board), take(board)] == [StageId("b0", 0), StageId("b1", 0)]
    assert board.take() is Answer.WAIT
    board.limit_open(2)  # the cluster has grown
    assert [take(board), take(board)] == [StageId("a0", 0), StageId("a1", 0)]
