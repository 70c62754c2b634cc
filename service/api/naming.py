"""The identity of the API in each of its answers, by which clients know that it is the API that answers."""

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.identity import Identity


class IdentityHeaders:
    """A middleware that puts the identity of the app into every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = identity_headers(scope["app"])

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, sending)


def identity_headers(app: Starlette) -> dict[str, str]:
    """Return the headers with the app's identity, which it has once it has started."""
    identity = getattr(app.state, "identity", None)
    return identity.headers() if isinstance(identity, Identity) else {}
