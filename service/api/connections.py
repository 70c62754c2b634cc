"""Connections with limits: uvicorn's protocol, and limits on how many there are and on how long each step may take.

uvicorn waits without a limit for the rest of a request, and for a client to read its answer. Each such connection costs
a file descriptor, and without free ones nobody is served. Here a connection is in one of five phases, and the server
looks at all connections twice a second. If there are too many, it closes connections that have not sent the whole head
of their request, the oldest first: an honest client is in that phase for milliseconds. If there are none, it closes one
connection in another phase, in the order of `Phase`.
"""

import contextlib
import heapq
import resource
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, assert_never

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.api.problems import problem

# Seconds that the last bytes of an answer may take, after the connection was told to close.
CLOSING_S = 5.0
# Number of new connections that the kernel keeps until we accept them; asyncio accepts all of them in one step, before
# any can be closed. If there are more, a client waits a second until it tries again.
BACKLOG = 1024
# Largest number of connections that are closed together: to find them, the server must look at all connections.
CLOSED_TOGETHER = 16
# File descriptors that the process needs besides connections: the database, the storage, its children.
OTHER_FILES = 128
# Number of uvicorn's ticks, which come ten times a second, from one look at all connections to the next.
TICKS_PER_SWEEP = 5


class Phase(Enum):
    """What a connection waits for, in the order in which connections are closed if there are too many."""

    HEAD = "the rest of a request's head"
    IDLE = "the next request"
    CLOSING = "the client, to read the end"
    BODY = "the rest of a request's body"
    ANSWER = "our answer"


_WORTH = {phase: place for place, phase in enumerate(Phase)}


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        max_connections: The largest number of open connections.
        request_s: Seconds that a client has to send a request.
        idle_s: Seconds without a byte, in either direction, after which a connection is closed.
        backlog: The largest number of connections that wait to be accepted.
    """

    max_connections: int
    request_s: float
    idle_s: float
    backlog: int = BACKLOG


class LimitedConfig(uvicorn.Config):
    """uvicorn's configuration with our protocol and its limits."""

    def __init__(self, app: Any, limits: ConnectionLimits, **options: Any) -> None:
        fixed: dict[str, Any] = {
            "ws": "none",
            "backlog": limits.backlog,
            "proxy_headers": False,
            "server_header": False,
        }
        super().__init__(app, http=LimitedConnection, **fixed, **options)
        self.limits = limits


class LimitedServer(uvicorn.Server):
    """uvicorn's server, which also ends the connections that are late."""

    async def on_tick(self, counter: int) -> bool:
        """Every few ticks, end the connections that are late; then do what uvicorn does. Return whether to exit."""
        if counter % TICKS_PER_SWEEP == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedConnection):
                    connection.end_if_late()
        return await super().on_tick(counter)


class LimitedConnection(H11Protocol):
    """A connection that ends if its client is too slow, or if there are too many."""

    def __init__(self, config: uvicorn.Config, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        assert isinstance(config, LimitedConfig)
        self._limits = config.limits
        self._last_byte_at = self._opened_at = self.loop.time()
        # Since when a request is being received; None between two requests.
        self._request_since: float | None = self._opened_at
        self._has_sent = False
        self._unread_since: float | None = None
        self._closing_since: float | None = None

    @property
    def phase(self) -> Phase:
        """What the connection waits for now."""
        if self.transport.is_closing():
            return Phase.CLOSING
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.BODY
        if self.conn.their_state is h11.IDLE:
            return Phase.IDLE if self._request_since is None else Phase.HEAD
        return Phase.ANSWER

    def connection_made(self, transport: Any) -> None:
        """Take a new connection; if there are too many, close another one."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            others = [each for each in self.connections if isinstance(each, LimitedConnection) and each is not self]
            first, *more = heapq.nsmallest(CLOSED_TOGETHER, others, key=lambda each: each.worth)
            first.abort()
            for each in more:
                if each.phase is Phase.HEAD:
                    each.abort()

    @property
    def worth(self) -> tuple[int, float]:
        """The order in which connections are closed if there are too many."""
        return _WORTH[self.phase], self._opened_at if self._request_since is None else self._request_since

    def abort(self) -> None:
        """Close at once, without an answer: other connections are more important."""
        self.transport.abort()
        # More connections may come in this step of the event loop: they must not choose this one again.
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._last_byte_at, self._has_sent = self.loop.time(), True
        if self._request_since is None:
            self._request_since = self._last_byte_at
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request; its first bytes may have come already."""
        self._request_since = self.loop.time() if self.conn.trailing_data[0] else None
        self._has_sent = bool(self.conn.trailing_data[0])
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        self._unread_since = None
        super().resume_writing()

    def end_if_late(self) -> None:
        """End the connection if its client has been too slow."""
        now, limits = self.loop.time(), self._limits
        phase = self.phase
        match phase:
            case Phase.HEAD:
                since = self._request_since or now
                if now - since > limits.request_s or now - self._last_byte_at > limits.idle_s:
                    self._end_late_request()
            case Phase.BODY:
                since = self._request_since or self._last_byte_at
                # While we do not read, the client cannot send.
                idle_s = 0 if self.flow.read_paused else now - self._last_byte_at
                if now - since > limits.request_s or idle_s > limits.idle_s:
                    self._end_late_request()
            case Phase.ANSWER:
                if self._unread_since is not None and now - self._unread_since > limits.idle_s:
                    self.transport.abort()
            case Phase.CLOSING:
                self._closing_since = self._closing_since or now
                if now - self._closing_since > CLOSING_S:
                    self.transport.abort()
            case Phase.IDLE:
                pass  # uvicorn has a timer for it
            case _:
                assert_never(phase)

    def _end_late_request(self) -> None:
        if self._has_sent:
            limit = f"a request must be sent within {self._limits.request_s:g} s, without a pause of"
            self._refuse(408, f"{limit} {self._limits.idle_s:g} s")
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer something that is no HTTP request with a problem document."""
        self._refuse(400, "this is not a well-formed HTTP request")

    def _refuse(self, status: int, detail: str) -> None:
        """Answer in place of the application, unless the application has begun to answer, and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = problem(status, detail, headers={"Connection": "close"})
            reason = HTTPStatus(status).phrase.encode()
            head = h11.Response(status_code=status, headers=response.raw_headers, reason=reason)
            with contextlib.suppress(h11.LocalProtocolError):  # an answer to HEAD has no body
                for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def affordable(wanted: int) -> tuple[int, int]:
    """Return how many connections this process can keep open, and how many more may wait to be accepted.

    Raise the process's limit of open files if possible: without free file descriptors, nobody is served.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + BACKLOG + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted, BACKLOG
    spare = max(soft - OTHER_FILES, 16)
    connections = min(wanted, spare * 3 // 4)
    return connections, spare - connections
