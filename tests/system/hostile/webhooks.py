"""Webhooks of experiments that are cancelled in the queue.

Some go to a good receiver, and some to a receiver that drips: it sends its answer byte by byte.
One has a bad address in its row of the database.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from service.store.database import Database
from tests.local_stack import LocalStack
from tests.serving import running
from tests.system.hostile import documents
from tests.system.hostile.promises import Deliveries

NUM_GOOD, NUM_DRIPPING = 5, 3
# An address that version 0.1.0 accepted, and at which its deliverer stopped for good.
BAD_URL = "http://hooks.example:abc/"
# Seconds within which the good ones are delivered: two rounds, in which other deliveries take up to 10 s.
WITHIN_S = 40.0
# Seconds between two bytes of the receiver that drips, and seconds until it stops by itself.
DROP_S, DRIP_S = 1.0, 60.0


class QuietServer(ThreadingHTTPServer):
    """A server whose threads end with the process, and that does not print when a client leaves."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing."""


@contextmanager
def receivers() -> Iterator[str]:
    """Run a receiver, and yield its address: it answers 204 under /good, and drips under /drip."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                deadline = time.monotonic() + DRIP_S
                with suppress(OSError):
                    while not ended.wait(DROP_S) and time.monotonic() < deadline:
                        self.wfile.write(b"x")
                return
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with running(QuietServer(("127.0.0.1", 0), Handler)) as server:
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()


def delivered(stack: LocalStack, address: str) -> Deliveries:
    """End experiments in the queue, and wait until the webhooks of the good ones have been delivered."""
    dripping = [_posted(stack, f"{address}/drip") for _ in range(NUM_DRIPPING)]
    bad = _posted(stack, f"{address}/good")
    _spoil(stack, bad)
    good = [_posted(stack, f"{address}/good") for _ in range(NUM_GOOD)]
    start = time.monotonic()
    with stack.http as http:
        for each in (*dripping, bad, *good):
            assert http.post(f"/experiments/{each}/cancel").status_code == 202
    waiting, longest_s, bad_tries = set(good), 0.0, 0
    while (waiting or not bad_tries) and time.monotonic() - start < WITHIN_S:
        arrived = {each for each in waiting if _webhook(stack, each)["delivered_at"] is not None}
        longest_s = time.monotonic() - start if arrived else longest_s
        waiting -= arrived
        bad_tries = _webhook(stack, bad)["tries"]
        time.sleep(0.2)
    return Deliveries(NUM_GOOD, NUM_GOOD - len(waiting), longest_s, bad_tries, WITHIN_S)


def _webhook(stack: LocalStack, experiment_id: str) -> dict[str, Any]:
    view: dict[str, Any] = stack.get(f"/experiments/{experiment_id}")["webhook"]
    return view


def _posted(stack: LocalStack, url: str) -> str:
    answer = stack.post(documents.spec(name="webhook", webhook={"url": url}))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _spoil(stack: LocalStack, experiment_id: str) -> None:
    """Write an address that this version does not accept into an experiment's row."""
    database = Database(stack.settings.database_url)
    try:
        with database.session() as repository:
            row = repository.experiments.get(experiment_id)
            row.spec = {**row.spec, "webhook": {"url": BAD_URL}}
    finally:
        database.dispose()
