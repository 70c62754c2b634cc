"""Tests of the commands when another program, or an API of another version, answers at the API's address."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import exchange
from service.cli.client import Client, Stranger, Unreachable
from service.cli.main import app
from service.errors import TetError
from service.identity import Identity
from tests.root import ROOT
from tests.strangers import StrangeServer, http, http_json, strange

ID = "0" * 20
SPEC = str(ROOT / "examples" / "digits.yaml")
COMMANDS = [
    ("list",),
    ("list", "--json"),
    ("show", ID),
    ("show", ID, "--json"),
    ("compare", ID),
    ("logs", ID),
    ("follow", ID),
    ("presets",),
    ("pause", ID),
    ("resume", ID),
    ("cancel", ID),
    ("retry", ID),
    ("verify", ID),
    ("delete", ID, "--yes"),
    ("submit", SPEC),
    ("validate", SPEC),
    ("fork", ID),
    ("rerun-best", ID, "--seeds", "10-14"),
]
NEWER = Identity("9.0.0", "a").headers()


def tet(server: StrangeServer, home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"TET_API_PORT": str(server.port), "TET_HOME": str(home)})


def refused(server: StrangeServer, within_s: float = 10) -> str:
    """Return the text of the error with which a client gives up."""
    with Client(f"http://127.0.0.1:{server.port}", within_s=within_s) as client, pytest.raises(TetError) as caught:
        list(client.experiments())
    assert isinstance(caught.value, Stranger | Unreachable)
    return str(caught.value)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_names_the_address_the_answer_and_the_remedy(command: tuple[str, ...], tmp_path: Path) -> None:
    with strange(http_json({"hello": ["world"]})) as server:
        ended = tet(server, tmp_path / "home", *command)
    assert ended.exit_code == 1
    assert ended.stdout == ""
    said = ended.stderr
    assert said.startswith(
        f"error: another program answers at http://127.0.0.1:{server.port}, not this service's API: "
    )
    assert """status 200, content type 'application/json', beginning '{"hello": ["world"]}'""" in said
    assert "set TET_API_PORT" in said


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (http(b"<!DOCTYPE html>\n<p>Hi"), "status 200, content type 'text/html', beginning '<!DOCTYPE html> <p>Hi'"),
        (http(b"x", status="404 Not Found"), "status 404"),
        (http(b"", status="204 No Content"), "no content"),
        (http(b"", status="302 Found", Location="http://127.0.0.1/login"), "a redirect to 'http://127.0.0.1/login'"),
        (http(b"\x00\xff\x1b[31m", "application/octet-stream"), r"beginning b'\x00\xff\x1b[31m'"),
        (http("a\u202e\u001b]0;".encode()), r"beginning 'a\u202e\x1b]0;'"),
        (http(b"<" * 10_000), "beginning '" + "<" * 80 + "'…"),
        (http(b"[" * 100_000, "application/json"), "beginning '" + "[" * 80 + "'…"),
    ],
)
def test_any_answer_is_described_in_printable_characters(answer: bytes, shown: str) -> None:
    with strange(answer) as server:
        assert shown in refused(server)


def test_an_answer_without_an_end_ends_the_wait() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    for start in (endless, b"HTTP/1.1 200 OK\r\nX-Endless: "):  # also within a header
        with strange(start, drips=b"x") as server:
            assert "its answer is not complete after 0.5 s" in refused(server, within_s=0.5)


def test_an_answer_of_any_size_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_BYTES", 100_000)
    with strange(http(b"x" * 200_000)) as server:
        assert "its answer has more than 100,000 bytes" in refused(server)


def test_an_answer_that_is_not_encoded_as_it_says_is_no_api() -> None:
    with strange(http(b"no gzip at all", Content_Encoding="gzip")) as server:
        assert "is no API" in refused(server)


@pytest.mark.slow
def test_a_program_that_does_not_speak_http_is_reported() -> None:
    with strange(b"SSH-2.0-OpenSSH_9.2\r\n") as server:
        assert "does not speak HTTP" in refused(server)


def test_an_earlier_version_without_an_identity_still_works(tmp_path: Path) -> None:
    described = {"info": {"title": exchange.API_TITLE}}
    answers = {"/openapi.json": http_json(described), "/experiments": http_json({"experiments": []})}
    with strange(http_json({}, "404 Not Found"), by_path=answers) as server:
        assert tet(server, tmp_path / "home", "list", "--json").stdout == "[]\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "answer", [{"other": 1}, [1], "text", {"experiments": {}, "id": 1, "chains": 3, "presets": [1]}]
)
def test_an_api_of_another_version_that_answers_in_another_form_says_so(
    command: tuple[str, ...], answer: object, tmp_path: Path
) -> None:
    with strange(http_json(answer, **NEWER)) as server:
        ended = tet(server, tmp_path / "home", *command)
    assert not isinstance(ended.exception, Exception), ended.exception
    if ended.exit_code:  # `--json` and `validate` may succeed with any JSON object
        assert "install the same version of `tet` and of the service" in ended.stderr


def test_pages_without_an_end_are_not_followed_forever(tmp_path: Path) -> None:
    with strange(http_json({"experiments": [], "next_cursor": "a"}, **NEWER)) as server:
        ended = tet(server, tmp_path / "home", "list")
    assert "next_cursor: 'a' follows itself" in ended.stderr


def test_a_refusal_in_another_form_is_shown(tmp_path: Path) -> None:
    problem = {"title": 3, "errors": ["a", {"field": "T"}]}
    with strange(http_json(problem, "422 Unprocessable Content", **NEWER)) as server:
        ended = tet(server, tmp_path / "home", "pause", ID)
    assert (ended.exit_code, ended.stderr) == (1, "error: 3 (HTTP 422)\n  T: \n")
