"""Turns for work that takes long: a few requests work at once, a few wait, and all others are refused at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from service.errors import Overloaded

# Seconds that a request waits for its turn. Its answer must come within 10 s, and the work itself takes time.
PATIENCE_S = 2.0


class Turns:
    """A limit on how many requests do some work at once, and on how many wait for it."""

    def __init__(self, at_once: int, max_waiting: int, work: str) -> None:
        """Allow `at_once` requests at a time, and let `max_waiting` more wait; `work` names the work in errors."""
        self._room = anyio.Semaphore(at_once)
        self._at_once, self._max_waiting, self._work = at_once, max_waiting, work
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            Overloaded: Too many requests wait already, or this one has waited for too long.
        """
        await self._wait()
        try:
            yield
        finally:
            self._room.release()

    async def _wait(self) -> None:
        if self._waiting >= self._max_waiting:
            raise self._overloaded()
        self._waiting += 1
        try:
            with anyio.move_on_after(PATIENCE_S) as patience:
                await self._room.acquire()
        finally:
            self._waiting -= 1
        if patience.cancelled_caught:
            raise self._overloaded()

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            f"the service is busy with {self._work}, {self._at_once} at a time; send the request again", 2
        )
