import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from service.cli.client import TRIES, Client, Refused
from service.identity import Identity

IDENTITY = Identity("1.0", "here")


@contextmanager
def busy(num_refusals: int) -> Iterator[tuple[str, list[str]]]:
    """Serve an API that first answers 429, `num_refusals` times; yield its address and the requested paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            refuses = len(asked) <= num_refusals
            body = b'{"detail": "busy"}' if refuses else b'{"presets": []}'
            self.send_response(429 if refuses else 200)
            self.send_header("Retry-After", "0")
            for header in IDENTITY.headers().items():
                self.send_header(*header)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_busy_api_is_asked_again() -> None:
    with busy(2) as (url, asked), Client(url) as client:
        assert client.presets() == []
    assert asked == ["/presets"] * 3


def test_an_api_that_stays_busy_is_reported_as_busy() -> None:
    with busy(99) as (url, asked), Client(url) as client, pytest.raises(Refused, match=r"busy \(HTTP 429\)"):
        client.presets()
    assert len(asked) == TRIES
