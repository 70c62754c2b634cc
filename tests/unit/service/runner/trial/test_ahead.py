"""Tests of items that are made one ahead."""

import threading
from collections.abc import Iterator

import pytest

from service.runner.trial import ahead as ahead_module
from service.runner.trial.ahead import Ahead, Ended

WITHIN_S = 30.0


class Maker:
    """Makes 1, 2, 3 and so on, up to `num`; then raises `error`, if it is given."""

    def __init__(self, num: int, error: Exception | None = None) -> None:
        self._num, self._error = num, error
        self.ahead = Ahead()
        self.begun: list[int] = []
        self.threads: set[int] = set()
        self.changed = threading.Condition()

    def items(self) -> Iterator[int]:
        for number in range(1, self._num + 1):
            with self.changed:
                self.begun.append(number)
                self.threads.add(threading.get_ident())
                self.changed.notify_all()
            yield number
        if self._error is not None:
            raise self._error

    def await_begun(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: number in self.begun, WITHIN_S)


def test_the_items_come_in_their_order_from_another_thread() -> None:
    maker = Maker(3)
    with maker.ahead.making(maker.items()) as made:
        assert list(made) == [1, 2, 3]
    assert len(maker.threads) == 1
    assert threading.get_ident() not in maker.threads


def test_one_item_is_made_while_another_one_is_in_use_and_never_a_second_one() -> None:
    maker = Maker(9)
    with maker.ahead.making(maker.items()) as made:
        assert next(made) == 1
        maker.await_begun(2)
        assert not threading.Event().wait(0.05)
        assert maker.begun == [1, 2]
        assert next(made) == 2
        maker.await_begun(3)


def test_an_error_comes_in_its_place() -> None:
    maker = Maker(2, FloatingPointError("the loss is nan"))
    taken: list[int] = []
    with maker.ahead.making(maker.items()) as made:
        taken += (next(made), next(made))
        with pytest.raises(FloatingPointError, match="the loss is nan"):
            next(made)
    assert taken == [1, 2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(None, "has not ended within"), (FloatingPointError("the loss is nan"), "the loss is nan")],
)
def test_a_maker_that_does_not_end_is_an_error_unless_another_error_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, expected: str
) -> None:
    monkeypatch.setattr(ahead_module, "END_WITHIN_S", 0.05)
    ahead, begun, release = Ahead(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        begun.set()
        release.wait(WITHIN_S)

    def consume() -> None:
        with ahead.making(items()) as made:
            assert next(made) == 1
            assert begun.wait(WITHIN_S)
            if error is not None:
                raise error

    with pytest.raises((RuntimeError, FloatingPointError), match=expected):
        consume()
    release.set()


def test_at_the_end_the_item_in_work_is_discarded() -> None:
    ahead, begun, ends = Ahead(), threading.Event(), list[str]()

    def items() -> Iterator[int]:
        yield 1
        try:
            while True:
                begun.set()
                ahead.check()
        except Ended:
            ends.append("discarded")
            raise

    num_threads = threading.active_count()
    with ahead.making(items()) as made:
        assert next(made) == 1
        assert begun.wait(WITHIN_S)
    assert ends == ["discarded"]
    assert threading.active_count() == num_threads
