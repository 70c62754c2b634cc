"""Guards before every endpoint, as plain ASGI middlewares: they check Host and Origin, and limit the size of bodies.

The API is open to everybody on loopback, so the danger is the browser of a person who uses this machine. A page of
another site must not reach the API under that site's host name (DNS rebinding; the Host header shows it), and must not
send requests to the API (the Origin header shows it).
"""

from collections.abc import Collection
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem, shortened
from service.errors import shown

# Limits in bytes and seconds for reading the rest of a body that is too large, before the connection closes.
DISCARD_BYTES = 64 * 1_048_576
DISCARD_S = 5.0
# Size up to which a body is read even if all bodies together are too large: any connection may hold this much.
SMALL_BYTES = 65_536
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class HostGuard:
    """A guard that refuses requests with a foreign Host (421) or the Origin of another site (403)."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str] = ()) -> None:
        """Guard `app`; `allowed_hosts` are names (with any port) or name:port, in addition to the names of loopback."""
        self._app = app
        self._allowed = {host.lower() for host in (*LOOPBACK, *allowed_hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        instance = shortened(scope["path"])
        if len(hosts) != 1 or not self._is_allowed(hosts[0]):
            names = ", ".join(sorted(self._allowed))
            detail = f"this service answers to {names}, not to Host {shown(', '.join(hosts))!r}; see TET_ALLOWED_HOSTS"
            await problem(421, detail, instance=instance)(scope, receive, send)
        elif any(not self._is_ours(origin, hosts[0]) for origin in origins):
            detail = f"requests from other sites are refused, and Origin is {shown(', '.join(origins))!r}"
            await problem(403, detail, instance=instance)(scope, receive, send)
        else:
            await self._app(scope, receive, _no_sniffing(send))

    def _is_allowed(self, host: str) -> bool:
        host = host.lower()
        return host in self._allowed or _name(host) in self._allowed

    def _is_ours(self, origin: str, host: str) -> bool:
        """Return whether an origin is the host of the request, or a host that the operator allows."""
        if not origin.lower().startswith(("http://", "https://")):
            return False
        netloc = origin.lower().partition("://")[2]
        return netloc == host.lower() or (_name(netloc) not in LOOPBACK and self._is_allowed(netloc))


class BodyLimit:
    """A guard that refuses bodies of more than `max_bytes` (413), by their Content-Length and by their real size.

    The rest of such a body is read and dropped, within limits: if the connection closes while the client still sends,
    the client does not get the answer. All bodies together take at most `max_bytes_in_all`; a body that would exceed
    this is refused (429), unless it is small. A body counts until the answer starts, since a stream may last for hours.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_bytes_in_all: int) -> None:
        self._app = app
        self._held = _HeldBytes(max_bytes, max_bytes_in_all)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._held.is_beyond(headers.get("content-length", "")):
            # A client that waits for "100 Continue" has sent no body yet.
            if headers.get("expect", "").lower() != "100-continue":
                await _discard(receive)
            detail, closing = self._held.detail, {"Connection": "close"}
            await problem(413, detail, instance=shortened(scope["path"]), headers=closing)(scope, receive, send)
            return
        body = _CountedBody(self._held, receive, send)
        try:
            await self._app(scope, body.receive, body.send)
        finally:
            body.stop_counting()


@dataclass
class _HeldBytes:
    max_bytes: int
    max_bytes_in_all: int
    in_all: int = 0

    def is_beyond(self, claimed: str) -> bool:
        return claimed.isdecimal() and (len(claimed) > 18 or int(claimed) > self.max_bytes)

    @property
    def detail(self) -> str:
        return f"a body must have at most {self.max_bytes:,} bytes"


class _CountedBody:
    """The body of one request; it counts among the held bytes until the answer starts."""

    def __init__(self, held: _HeldBytes, receive: Receive, send: Send) -> None:
        self._held, self._receive, self._send = held, receive, send
        self._num_bytes, self._counts = 0, True

    async def receive(self) -> Message:
        """Return the next message, after checks of both limits.

        The application gets the errors when it reads the body (see `Turnstile`): they become problem documents.
        """
        message = await self._receive()
        more = len(message.get("body", b""))
        self._num_bytes += more
        if self._counts:
            self._held.in_all += more
        if self._num_bytes > self._held.max_bytes:
            await _discard_rest(message, self._receive)
            raise HTTPException(413, self._held.detail, headers={"Connection": "close"})
        if self._counts:
            await self._check_all(message)
        return message

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        self.stop_counting()
        await self._send(message)

    def stop_counting(self) -> None:
        """Take the body's bytes from the count."""
        if self._counts:
            self._counts = False
            self._held.in_all -= self._num_bytes

    async def _check_all(self, message: Message) -> None:
        limit = self._held.max_bytes_in_all
        if self._num_bytes > SMALL_BYTES and self._held.in_all > limit:
            await _discard_rest(message, self._receive)
            detail = f"the service holds {limit:,} bytes of other bodies, which is its limit; send the request again"
            raise HTTPException(429, detail, headers={"Connection": "close", "Retry-After": "2"})


async def _discard_rest(message: Message, receive: Receive) -> None:
    """Read and drop the rest of a body after `message`."""
    if message.get("more_body", False):
        await _discard(receive)


async def _discard(receive: Receive) -> None:
    num_bytes = 0
    with anyio.move_on_after(DISCARD_S):
        while num_bytes < DISCARD_BYTES:
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                return


def _name(host: str) -> str:
    """Return a host without its port: `[::1]:8000` is `[::1]`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _no_sniffing(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
        await send(message)

    return sending
