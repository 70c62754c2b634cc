"""A file server on this machine, for tests of downloads."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.serving import running


class Server(ThreadingHTTPServer):
    """A server of one folder that understands range requests and can close a connection after some bytes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.break_after: int | None = None
        self.knows_ranges = True
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, asked = self.server.folder / self.path[1:], self.headers["Range"]
        self.server.ranges.append(asked)
        if not path.exists():
            self.send_error(404)
            return
        start = int(asked[len("bytes=") : -1]) if asked and self.server.knows_ranges else 0
        content = path.read_bytes()[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.break_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Create `folder`, serve it within this context, and yield the server."""
    folder.mkdir()
    with running(Server(folder)) as server:
        yield server
