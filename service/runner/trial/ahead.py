"""Epochs that are trained one ahead: while an epoch is committed and reported, the next one is being trained."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")

# The time, in s, within which the item in work must end once nobody wants it: a batch may take long.
END_WITHIN_S = 60.0


class Ended(Exception):  # noqa: N818 - no error: nobody waits for the item that is being made
    """The sign that the consumer has ended, so that the item in work is discarded."""


class Ahead:
    """Lets an iterator make its items in a thread of its own, at most one ahead of the consumer."""

    def __init__(self) -> None:
        self._has_ended = threading.Event()

    def check(self) -> None:
        """Raise `Ended` once the consumer has ended. The iterator has to call it every now and then."""
        if self._has_ended.is_set():
            raise Ended

    @contextmanager
    def making(self, items: Iterator[Item]) -> Iterator[Iterator[Item]]:
        """Yield an iterator with the same items in the same order, and with an error of `items` in its place.

        At the end of the context, the item that is being made is discarded.

        Raises:
            RuntimeError: At the end, if the thread has not ended in time. Nothing else may run in this process then.
        """
        made: SimpleQueue[tuple[Item] | BaseException] = SimpleQueue()
        wanted = threading.Semaphore(0)  # counts the items that may be made
        # A daemon, so that a process that ends without the context waits for no one.
        thread = threading.Thread(target=self._make, args=(items, wanted, made), name="ahead", daemon=True)
        thread.start()
        try:
            yield _taken(wanted, made)
        finally:
            self._has_ended.set()
            wanted.release()
            thread.join(END_WITHIN_S)
            # An error is on its way: it says more, and it ends the process too.
            if thread.is_alive() and not isinstance(sys.exception(), Exception):
                raise RuntimeError(f"the epoch in work has not ended within {END_WITHIN_S:g} s after its stage")

    def _make(
        self, items: Iterator[Item], wanted: threading.Semaphore, made: SimpleQueue[tuple[Item] | BaseException]
    ) -> None:
        try:
            while True:
                wanted.acquire()
                self.check()
                made.put((next(items),))
        except BaseException as error:  # it belongs to the consumer
            made.put(error)


def _taken(wanted: threading.Semaphore, made: SimpleQueue[tuple[Item] | BaseException]) -> Iterator[Item]:
    wanted.release()
    while True:
        item = made.get()
        if isinstance(item, StopIteration):
            return
        if isinstance(item, BaseException):
            raise item
        wanted.release()
        yield item[0]
