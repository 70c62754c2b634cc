"""A limit on how many requests are answered at once, so that those that come first are answered soon."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem, shortened

# The supervisor of the process asks these addresses: they must always answer.
HEALTH = frozenset({"/healthz", "/readyz"})
# Methods whose endpoints do not read a body. A refusal of such a body would first be raised inside a stream that waits
# for the client to leave.
BODILESS = frozenset({"GET", "HEAD", "DELETE"})


class Turnstile:
    """A guard that answers at most `max_requests` requests at once, and refuses the others (429).

    It first reads the whole body, which `BodyLimit` counts, so that a slow client does not take the place of another. A
    request counts until its answer starts: a stream that has started costs nearly nothing, and has a limit of its own.
    """

    def __init__(self, app: ASGIApp, max_requests: int) -> None:
        self._app = app
        self._max_requests = max_requests
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        body = _ReadBody(receive)
        if _has_body(scope) and not await body.read():
            return  # the client has left
        if body.refusal is not None and scope["method"] in BODILESS:
            await _refused(scope, body.refusal)(scope, receive, send)
            return
        if self._inside >= self._max_requests:
            detail = (
                f"the service answers {self._max_requests} requests at once, which is its limit; send this one again"
            )
            response = problem(429, detail, instance=shortened(scope["path"]), headers={"Retry-After": "1"})
            await response(scope, receive, send)
            return
        self._inside += 1
        counts = True

        async def leaving(message: Message) -> None:
            nonlocal counts
            if counts:
                counts = False
                self._inside -= 1
                body.drop()
            await send(message)

        try:
            await self._app(scope, body.receive, leaving)
        finally:
            if counts:
                self._inside -= 1


class _ReadBody:
    """A body that was read already, and that the application reads again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self.refusal: HTTPException | None = None

    async def read(self) -> bool:
        """Read the whole body, or up to the error that refuses it; return whether the client is still there.

        The application gets the error when it reads the body, unless no endpoint would read it. So a POST to a path
        that does not exist is still answered with 404.
        """
        more = True
        while more:
            try:
                message = await self._receive()
            except HTTPException as error:
                self.refusal = error
                self._messages.clear()
                return True
            if message["type"] == "http.disconnect":
                return False
            self._messages.append(message)
            more = message.get("more_body", False)
        self._messages.reverse()
        return True

    async def receive(self) -> Message:
        """Return the next message of the body; after its last message, the next one of the connection."""
        if self.refusal is not None:
            raise self.refusal
        return self._messages.pop() if self._messages else await self._receive()

    def drop(self) -> None:
        """Free what nobody has read when the answer starts: `BodyLimit` no longer counts it."""
        self._messages.clear()


def _refused(scope: Scope, refusal: HTTPException) -> ASGIApp:
    return problem(refusal.status_code, refusal.detail, instance=shortened(scope["path"]), headers=refusal.headers)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
