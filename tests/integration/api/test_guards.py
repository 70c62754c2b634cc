import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.identity import Identity
from tests.integration.api.conftest import Api

JSON = {"Content-Type": "application/json"}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document of an answer, after checks of its status and form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8000", "tet.lab:99", "proxy.lab:8443"],
)
def test_requests_to_allowed_hosts_are_answered(gate: Api, host: str) -> None:
    assert gate.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "proxy.lab",
        "proxy.lab:1",
        "",
        "127.0.0.2",
    ],
)
def test_requests_to_other_hosts_are_misdirected(gate: Api, host: str) -> None:
    document = problem(gate.client.get("/healthz", headers={"Host": host}), 421)
    assert "TET_ALLOWED_HOSTS" in document["detail"]


def raw(gate: Api, request: bytes) -> bytes:
    """Send bytes, and return the whole answer."""
    with socket.create_connection(
        (gate.client.base_url.host, gate.client.base_url.port or 80), timeout=10
    ) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
        return answer


def test_a_request_with_two_host_headers_is_refused(gate: Api) -> None:
    answer = raw(gate, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ")[1] in (b"400", b"421")


def test_a_request_without_a_host_is_refused(gate: Api) -> None:
    assert raw(gate, b"GET /healthz HTTP/1.0\r\n\r\n").split(b" ")[1] == b"421"


def test_requests_from_allowed_origins_are_answered(gate: Api) -> None:
    own = f"http://{gate.client.base_url.netloc.decode()}"
    for origin in (own, "https://proxy.lab:8443", "http://tet.lab"):
        assert gate.client.get("/healthz", headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:3000", "file://", "http://127.0.0.1", "", "http://[", "x" * 999],
)
def test_requests_from_other_origins_are_refused(gate: Api, spec: dict[str, Any], origin: str) -> None:
    problem(gate.client.post("/experiments", json=spec, headers={"Origin": origin}), 403)
    problem(gate.client.post(f"/experiments/{'0' * 20}/cancel", headers={"Origin": origin}), 403)


@pytest.mark.parametrize("path", ["/experiments", "/experiments/validate"])
def test_a_body_with_a_large_content_length_is_refused(gate: Api, path: str) -> None:
    document = problem(gate.client.post(path, content=b"x" * 20_000_000, headers=JSON), 413)
    assert "at most 1,048,576 bytes" in document["detail"]


def chunks() -> Iterator[bytes]:
    for _ in range(200):
        yield b"x" * 100_000


def test_a_large_body_without_a_content_length_is_refused(gate: Api) -> None:
    problem(gate.client.post("/experiments", content=chunks(), headers=JSON), 413)


def test_a_large_body_to_an_unknown_path_does_no_harm(gate: Api) -> None:
    problem(gate.client.post("/nowhere", content=chunks()), 404)
    assert gate.client.get("/healthz").status_code == 200


@pytest.mark.parametrize("what", ["", "/events", "/logs?chain=c"])
def test_a_large_body_that_no_endpoint_reads_is_refused(gate: Api, spec: dict[str, Any], what: str) -> None:
    experiment = gate.post(spec).json()["id"]
    document = problem(gate.client.request("GET", f"/experiments/{experiment}{what}", content=chunks()), 413)
    assert "at most 1,048,576 bytes" in document["detail"]


def test_a_client_that_expects_100_continue_is_refused_before_it_sends_its_body(gate: Api) -> None:
    head = b"POST /experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = raw(gate, head + b"Content-Length: 20000000\r\nExpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "*/*",
        "application/json; charset=latin-1",
        "application/jsonx",
        ";",
    ],
)
def test_only_json_and_yaml_are_accepted(gate: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    document = problem(gate.client.post("/experiments", content=b"{}", headers=headers), 415)
    assert "application/json, application/yaml" in document["detail"]


@pytest.mark.parametrize(
    ("media_type", "body", "detail"),
    [
        ("json", b'{"a": 1,}', "line 1, column 9"),
        ("json", b"", "expecting value"),
        ("json", b"\xff\xfe{\x00", "must be UTF-8"),
        ("json", b"[" * 100_000, "at most 64 levels"),
        ("yaml", b"[" * 100_000, "at most 64 levels"),
        ("yaml", b"a: &a [*a]", "must not be within"),
        ("yaml", b"!!python/object/apply:os.system [id]", "must hold no tags"),
        ("yaml", b"a: 1\na: 2", "line 2, column 1"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(gate: Api, media_type: str, body: bytes, detail: str) -> None:
    answer = gate.client.post("/experiments", content=body, headers={"Content-Type": f"application/{media_type}"})
    document = problem(answer, 400)
    assert document["type"] == "urn:tet:problem:document-invalid"
    assert detail in document["detail"]


@pytest.mark.parametrize("body", [b"null", b"[]", b'"spec"', b"NaN", b'{"name": "\\ud800"}', b'{"\\ud800": 1}'])
def test_a_document_that_is_not_a_spec_is_refused_with_its_fields(gate: Api, body: bytes) -> None:
    assert problem(gate.client.post("/experiments", content=body, headers=JSON), 422)["errors"]


def test_unknown_paths_and_methods_are_answered_with_problem_documents(gate: Api) -> None:
    assert "/docs" in problem(gate.client.get("/nowhere"), 404)["detail"]
    problem(gate.client.get("/docs/assets/nothing.js"), 404)
    problem(gate.client.get("/experiments/"), 404)
    answer = gate.client.delete("/experiments")
    assert "accepted: GET, POST" in problem(answer, 405)["detail"]
    assert answer.headers["Allow"] == "GET, POST"


def test_every_answer_forbids_guessing_its_type(gate: Api) -> None:
    assert gate.client.get("/healthz").headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/healthz", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("DELETE", "/healthz", {}, 405),
        ("GET", "/experiments", {"Host": "evil.example"}, 421),
        ("GET", "/experiments", {"Origin": "http://evil.example"}, 403),
        ("POST", "/experiments", {"Content-Length": "9999999"}, 413),
        ("POST", "/experiments", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_every_answer_says_which_program_gives_it(
    gate: Api, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    body = b"x" * 2_000_000 if "Content-Length" in headers else b"x"
    sent = {name: value for name, value in headers.items() if name != "Content-Length"}
    answer = gate.client.request(method, path, headers=sent, content=None if method == "GET" else body)
    assert answer.status_code == status
    assert Identity.from_headers(answer.headers) == Identity.of(gate.settings.home)
