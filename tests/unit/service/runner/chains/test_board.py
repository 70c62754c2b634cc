"""Tests of the board: which stage may run next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.plan import Chain, StagePlan
from service.runner.chains.board import Answer, Board, StageId
from tet_core.config import TrainConfig

CONFIG = TrainConfig.model_validate(
    {"dataset": {"name": "digits"}, "model": {"name": "vgg_small"}, "T": 1, "epochs": 1, "loss": {"name": "sdt"}}
)


def chain(name: str, num_stages: int = 1) -> Chain:
    return Chain(name, name, 0, tuple(StagePlan(index, "train", CONFIG) for index in range(num_stages)))


def take(board: Board) -> StageId:
    stage = board.take()
    assert isinstance(stage, StageId)
    return stage


def test_chains_are_opened_in_their_order() -> None:
    board = Board([chain("a"), chain("b")])
    assert [board.take(), board.take(), board.take()] == [StageId("a", 0), StageId("b", 0), Answer.WAIT]


def test_the_next_stage_of_a_chain_is_offered_as_soon_as_the_stage_before_has_ended() -> None:
    board = Board([chain("a", 2), chain("b"), chain("c")])
    first, _ = take(board), take(board)
    board.succeeded(first)
    assert take(board) == StageId("a", 1)  # before c, which has not started, and while b still runs


def test_a_chain_never_has_two_stages_running() -> None:
    board = Board([chain("a", 2)])
    take(board)
    assert board.take() is Answer.WAIT


def test_a_failed_chain_ends_and_the_other_chains_continue() -> None:
    board = Board([chain("a", 2), chain("b")])
    board.failed_for_good(take(board))
    board.succeeded(take(board))
    assert board.take() is Answer.FINISHED
    assert [failed.id for failed in board.failed_chains] == ["a"]
    assert board.over


def test_a_lost_stage_is_offered_again() -> None:
    board = Board([chain("a")])
    lost = take(board)
    board.lost(lost)
    assert take(board) == lost


def test_a_board_starts_with_stages_done_and_chains_failed_before() -> None:
    board = Board([chain("a", 2), chain("b"), chain("c")], {"a": 1, "b": 1}, frozenset({"c"}))
    assert take(board) == StageId("a", 1)
    assert board.take() is Answer.WAIT


def test_a_closed_board_offers_nothing() -> None:
    board = Board([chain("a")])
    board.close()
    assert board.take() is Answer.FINISHED


def test_a_stage_that_does_not_run_cannot_end() -> None:
    with pytest.raises(AssertionError, match="is not being run"):
        Board([chain("a")]).succeeded(StageId("a", 0))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(1, 4), st.data())
def test_every_stage_succeeds_once_in_order_however_trials_end(
    lengths: list[int], slots: int, data: st.DataObject
) -> None:
    board = Board([chain(str(i), length) for i, length in enumerate(lengths)])
    running: list[StageId] = []
    succeeded: list[StageId] = []
    losses = 0
    while True:
        answer = board.take() if len(running) < slots else Answer.WAIT
        if isinstance(answer, StageId):
            running.append(answer)
            continue
        if not running:
            assert answer is Answer.FINISHED
            break
        stage = running.pop(data.draw(st.integers(0, len(running) - 1)))
        if losses < 10 and data.draw(st.booleans()):
            losses += 1
            board.lost(stage)
        else:
            board.succeeded(stage)
            succeeded.append(stage)
    assert sorted(succeeded) == [StageId(str(i), k) for i, length in enumerate(lengths) for k in range(length)]
    for i in range(len(lengths)):
        of_chain = [stage.index for stage in succeeded if stage.chain == str(i)]
        assert of_chain == sorted(of_chain)


def test_a_chain_can_fail_before_its_trial_has_ended_or_started() -> None:
    board = Board([chain("a", 2), chain("b", 2), chain("c")], max_open=2)
    running = take(board)
    board.fail("a")
    board.fail("b")
    assert [board.is_taken(name) for name in "abc"] == [True, False, False]
    board.succeeded(running)
    assert take(board) == StageId("c", 0), "neither a nor b is offered, and both are closed"
    assert board.take() is Answer.WAIT
    assert [failed.id for failed in board.failed_chains] == ["a", "b"]
