"""Tests of one delivery of a webhook, with receivers on 127.0.0.1 that behave badly."""

import asyncio
import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from service.control.delivery import MAX_ANSWER_BYTES, Resolver, deliver

CERTIFICATE = Path(__file__).parent / "hooks.pem"
DONE = b"HTTP/1.1 204 No Content\r\n\r\n"
# The limit, in seconds, of a delivery to a receiver that never finishes.
SHORT_S = 0.4

Act = Callable[[socket.socket], None]


@contextmanager
def receiver(act: Act, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """Accept connections on a free port; read each request's head and body, keep them, and then call `act`."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            with suppress(OSError):  # the server is closed
                while True:
                    plain, _ = server.accept()
                    with plain, suppress(OSError):
                        connection = plain if tls is None else tls.wrap_socket(plain, server_side=True)
                        with connection:
                            requests.append(_request(connection))
                            act(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield server.getsockname()[1], requests
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


def _request(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    data = b""
    while not data.endswith(b"{}") and (part := connection.recv(65_536)):
        data += part
    return data


def answer(data: bytes) -> Act:
    return lambda connection: connection.sendall(data)


def drip(start: bytes, drop: bytes) -> Act:
    """Return an act that sends `start`, and then `drop` every 50 ms until the client leaves."""

    def act(connection: socket.socket) -> None:
        connection.sendall(start)
        connection.settimeout(0.05)
        while True:
            connection.sendall(drop)
            with suppress(TimeoutError):
                if connection.recv(1) == b"":
                    return

    return act


def to(*ips: str) -> Resolver:
    async def resolver(host: str, port: int) -> list[str]:
        return list(ips)

    return resolver


def sent(
    url: str, *hosts: str, resolver: Resolver | None = None, deadline_s: float = 10.0, tls: ssl.SSLContext | None = None
) -> str | None:
    others = {} if resolver is None else {"resolver": resolver}
    tls = tls or ssl.create_default_context()
    return asyncio.run(deliver(url, b"{}", {"webhook-id": "x"}, hosts=hosts, tls=tls, deadline_s=deadline_s, **others))


def test_the_request_names_the_host_and_goes_to_the_address_that_was_checked() -> None:
    with receiver(answer(DONE)) as (port, requests):
        # hooks.localhost is in no hosts file: only the resolver knows where it is.
        assert sent(f"http://hooks.localhost:{port}/a?b=%20", "hooks.localhost", resolver=to("127.0.0.1")) is None
    (request,) = requests
    assert request.startswith(b"POST /a?b=%20 HTTP/1.1\r\n")
    assert f"Host: hooks.localhost:{port}\r\n".encode() in request
    assert b"webhook-id: x\r\n" in request


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda connection: connection.recv(1), id="silent"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), id="headers"),
        pytest.param(drip(b"HTTP/1.1 200 O", b"K"), id="status"),
        pytest.param(drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), id="hints"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"), id="body"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"),
    ],
)
def test_a_receiver_that_drips_is_left_at_the_deadline(act: Act) -> None:
    with receiver(act) as (port, _):
        start = time.monotonic()
        problem = sent(f"http://127.0.0.1:{port}/", "127.0.0.1", deadline_s=SHORT_S)
        assert problem == f"127.0.0.1:{port} did not answer completely within 0.4 s"
        assert SHORT_S <= time.monotonic() - start < SHORT_S + 2


def test_a_name_server_that_does_not_answer_is_left_at_the_deadline() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    problem = sent("http://hooks.example/", "hooks.example", resolver=never, deadline_s=SHORT_S)
    assert problem == "hooks.example did not answer completely within 0.4 s"


# httpcore leaves the connection of a handshake that is cancelled to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_receiver_that_does_not_speak_tls_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        port = server.getsockname()[1]
        problem = sent(f"https://127.0.0.1:{port}/", "127.0.0.1", deadline_s=SHORT_S)
    gc.collect()
    assert problem == f"127.0.0.1:{port} did not answer completely within 0.4 s"


def test_a_long_answer_is_not_read_to_its_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"
    with receiver(drip(head, b"x" * MAX_ANSWER_BYTES)) as (port, _):
        assert sent(f"http://127.0.0.1:{port}/", "127.0.0.1") is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "the receiver answered 500"),
        (b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", "the receiver answered 307"),
        (b"nonsense\x1b[2J\r\n\r\n", "RemoteProtocolError: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "RemoteProtocolError: "),
        (b"", "RemoteProtocolError: Server disconnected"),
    ],
)
def test_an_answer_other_than_success_is_an_error_without_control_characters(data: bytes, problem: str) -> None:
    with receiver(answer(data)) as (port, requests):
        said = sent(f"http://127.0.0.1:{port}/", "127.0.0.1") or ""
        assert said.startswith(problem)
        assert said.isprintable()
    assert len(requests) == 1, "nothing is sent twice"


def test_a_name_that_leads_to_a_forbidden_address_gets_no_connection() -> None:
    with receiver(answer(DONE)) as (port, requests):
        url, refused = f"http://hooks.example:{port}/", to("127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1")
        assert sent(url, "hooks.example", resolver=refused) == (
            f"hooks.example:{port} cannot be used: 127.0.0.1 is an address of this machine; 169.254.169.254 is a "
            "link-local address; ::ffff:10.0.0.1 is an IPv4 address written as IPv6"
        )
    assert requests == []


def test_the_second_address_of_a_host_is_tried_if_the_first_refuses() -> None:
    with receiver(answer(DONE)) as (port, requests):
        assert sent(f"http://localhost:{port}/", "localhost", resolver=to("127.0.0.2", "127.0.0.1")) is None
    assert len(requests) == 1


def test_a_name_is_resolved_by_this_machine_by_default() -> None:
    with receiver(answer(DONE)) as (port, requests):
        assert sent(f"http://localhost:{port}/", "localhost") is None
    assert len(requests) == 1


def test_a_host_without_an_address_is_an_error() -> None:
    assert (sent("http://hooks.invalid/", "hooks.invalid", deadline_s=20) or "").startswith("gaierror: ")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://hooks.example:abc/", "webhook.url the port 'abc' must be a number from 1 to 65535"),
        ("http://me:secret@hooks.example/", "webhook.url must be an address of the form"),
        ("http://hooks.example/\x1b", "webhook.url must hold no control"),
        ("http://other.example/", "other.example is not among the hosts that TET_WEBHOOK_HOSTS allows"),
    ],
)
def test_an_address_that_an_older_version_stored_is_an_error(url: str, problem: str) -> None:
    said = sent(url, "hooks.example") or ""
    assert said.startswith(problem)
    assert "secret" not in said


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with receiver(answer(DONE)) as (port, requests):
        assert sent(f"http://127.0.0.1:{port}/", "127.0.0.1") is None
    assert len(requests) == 1


def test_the_certificate_must_be_for_the_name_of_the_host() -> None:
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(CERTIFICATE)
    trusting, names = ssl.create_default_context(cafile=str(CERTIFICATE)), []
    inside.sni_callback = lambda connection, name, context: names.append(name)
    with receiver(answer(DONE), inside) as (port, requests):
        for host in ("hooks.localhost", "other.localhost"):
            said = sent(f"https://{host}:{port}/", host, resolver=to("127.0.0.1"), tls=trusting)
            assert (said is None) == (host == "hooks.localhost"), said
        assert "not valid for 'other.localhost'" in (said or "")
        said = sent(f"https://hooks.localhost:{port}/", "hooks.localhost", resolver=to("127.0.0.1"))
        assert "self-signed certificate" in (said or "")
    assert names[:2] == ["hooks.localhost", "other.localhost"]
    assert len(requests) == 1
