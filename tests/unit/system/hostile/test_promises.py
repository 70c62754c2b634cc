"""Tests of `make test-hostile`: it names every broken promise, and measures answers, health and memory."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.serving import running
from tests.system.hostile import sending
from tests.system.hostile.promises import Deliveries, Measured, promises, report
from tests.system.hostile.requests import HostileRequest
from tests.system.hostile.sending import Outcome, Target, at_rate, held_open, leave_early, send, together
from tests.system.hostile.watching import Watched, watched

GET = HostileRequest("a request", "GET", "/ok")
BAD = replace(GET, words="a bad one", is_refused=True)
WATCHED = Watched([0.01] * 200, 0, 100_000_000, 120_000_000)
GOOD = Measured(
    [Outcome(GET, 200, 0.1), Outcome(BAD, 422, 0.1)], WATCHED, Deliveries(5, 5, 1.0, 1, 40.0), ("a",), ("a",), True
)


@contextmanager
def server(asked: threading.Event | None = None) -> Iterator[Target]:
    """Run a server that answers 200, and 500 under /broken; its second request sets `asked`."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            paths.append(self.path)
            if asked is not None and len(paths) == 2:
                asked.set()

        def log_message(self, *_: Any) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as http:
        yield Target("127.0.0.1", http.server_address[1])


def test_a_good_run_keeps_every_promise() -> None:
    found = promises(GOOD)
    assert [each.words for each in found if each.broken] == []
    assert "kept    every request is answered by 2xx or 4xx: 2 of 2" in report(found)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"outcomes": []}, "no request was sent"),
        ({"outcomes": [Outcome(BAD, 500, 0.1)]}, "a bad one: 500"),
        ({"outcomes": [Outcome(BAD, 503, 0.1)]}, "a bad one: 503"),
        ({"outcomes": [Outcome(BAD, None, 20.0, "TimeoutError: timed out")]}, "a bad one: TimeoutError: timed out"),
        ({"outcomes": [Outcome(BAD, 422, 10.1)]}, "a bad one: 10.1 s"),
        ({"outcomes": [Outcome(BAD, 202, 0.1)]}, "a bad one: 202"),
        ({"watched": replace(WATCHED, health_s=[0.01] * 97 + [0.3] * 3)}, "too slow, and 0 of 100 answers"),
        ({"watched": replace(WATCHED, health_failures=3)}, "too slow, and 3 of"),
        ({"watched": replace(WATCHED, health_s=[])}, "too slow, and 0 of 0 answers did not come"),
        ({"watched": replace(WATCHED, peak_bytes=401_000_000)}, "from 100 MB by 301 MB"),
        ({"deliveries": None}, "no webhook was sent"),
        ({"deliveries": Deliveries(5, 4, 1.0, 1, 40.0)}, "1 were not delivered within 40 s"),
        ({"deliveries": Deliveries(5, 5, 1.0, 0, 40.0)}, "no try of the bad address was counted"),
        ({"disturbed": ("b",)}, "undisturbed ('a',), disturbed ('b',)"),
        ({"undisturbed": (), "disturbed": ()}, "undisturbed (), disturbed ()"),
        ({"ran_beside": False}, "the experiment ended before the last request"),
    ],
)
def test_each_fault_breaks_a_promise_and_is_named(changes: dict[str, Any], why: str) -> None:
    found = promises(replace(GOOD, **changes))
    assert any(each.broken for each in found)
    assert f"          {why}" in report(found)


def test_an_answer_is_measured() -> None:
    with server() as target:
        assert [each.status for each in together(target, [GET, replace(GET, path="/broken")])] == [200, 500]
        outcomes = at_rate(target, [GET] * 5, 100.0)
    assert [each.status for each in outcomes] == [200] * 5
    assert max(each.seconds for each in outcomes) < sending.ANSWER_S


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "GIVE_UP_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = send(Target("127.0.0.1", silent.getsockname()[1]), GET)
    assert (outcome.status, outcome.problem) == (None, "TimeoutError: timed out")
    assert outcome.seconds < 5


def test_clients_can_leave_early_or_hold_half_sent_requests_open() -> None:
    with server() as target:
        leave_early(target, replace(GET, body=b"x" * 1_000), 0.0)
        with held_open(target, 20, b"GET / HT") as num:
            assert num == 20
            assert send(target, GET).status == 200


def test_health_and_memory_are_measured_while_the_context_lasts() -> None:
    asked = threading.Event()
    with server(asked) as target:
        with watched(target, os.getpid()) as found:
            assert asked.wait(60)
        assert len(found.health_s) >= 1
        assert found.health_failures == 0
        assert found.health_p99_s < 5
    assert found.start_bytes > 10_000_000
    assert found.peak_bytes > 10_000_000
