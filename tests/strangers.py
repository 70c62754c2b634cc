"""Programs that answer on a port in their own way, for tests of clients that expect another program there."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event
from typing import Any

from tests.serving import running


class StrangeServer(ThreadingTCPServer):
    """A server that sends given bytes for each path. With `drips`, it then sends these bytes again and again."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: bytes, *, by_path: Mapping[str, bytes] | None = None, drips: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.by_path, self.drips = answer, by_path or {}, drips
        self.ended = Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseRequestHandler):
    server: StrangeServer
    request: socket.socket

    def handle(self) -> None:
        received = self.request.recv(65_536)
        path = received.split(b" ")[1].decode().partition("?")[0] if received.count(b" ") > 1 else ""
        try:
            self.request.sendall(self.server.by_path.get(path, self.server.answer))
            while self.server.drips and not self.server.ended.wait(0.05):
                self.request.sendall(self.server.drips)
        except OSError:  # the client has given up
            pass


@contextmanager
def strange(
    answer: bytes, *, by_path: Mapping[str, bytes] | None = None, drips: bytes = b""
) -> Iterator[StrangeServer]:
    """Run a `StrangeServer` until the end of the context."""
    with running(StrangeServer(answer, by_path=by_path, drips=drips)) as server:
        try:
            yield server
        finally:
            server.ended.set()


def http(content: bytes, kind: str = "text/html", status: str = "200 OK", **headers: str) -> bytes:
    """Return a complete HTTP answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *lines,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def http_json(value: Any, status: str = "200 OK", **headers: str) -> bytes:
    """Return a complete HTTP answer with JSON."""
    return http(json.dumps(value).encode(), "application/json", status, **headers)
