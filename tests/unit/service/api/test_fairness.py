"""Tests, on real sockets, that the API answers in spite of clients that are slow, rude or too many."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.checking.meaning import resolved_spec
from service.events import StageChanged
from service.spec.experiment import parse
from service.states import ExperimentState, WorkState
from service.storage import ExperimentFolder
from tests.integration.api.conftest import Api, serving_api

SPEC: dict[str, Any] = {
    "name": "small",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small"},
    "arms": [{"name": "SDT", "stages": [{"kind": "train", "T": 2, "epochs": 1, "loss": {"name": "sdt"}}]}],
    "seeds": [0],
}
HEAD = b"POST /experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Serve an API with small limits."""
    home = tmp_path_factory.mktemp("tight")
    limits = {
        "max_connections": 16,
        "max_requests": 2,
        "max_streams": 3,
        "max_streams_per_experiment": 2,
        "max_bytes_of_bodies": 150_000,
        "request_timeout_s": 2,
        "idle_timeout_s": 1,
    }
    with serving_api(home, f"sqlite:///{home / 'tet.db'}", **limits) as api:
        yield api


@pytest.fixture(autouse=True)
def no_tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that nothing that a client does leaves a traceback in the log."""
    yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def connected(api: Api) -> socket.socket:
    return socket.create_connection((api.client.base_url.host, api.client.base_url.port or 80), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    answer = b""
    while block := connection.recv(65_536):
        answer += block
    return answer


def refused(answer: httpx.Response, status: int, detail: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert detail in answer.json()["detail"]
    if status == 429:
        assert int(answer.headers["Retry-After"]) >= 1


def is_well(api: Api) -> None:
    """Check that a new client is answered."""
    with httpx.Client(base_url=api.client.base_url, timeout=10, trust_env=False) as client:
        assert client.get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET /healthz HTTP/1.1\r\nHost: local",
        HEAD + b"100\r\n\r\n{",
        HEAD + b"10\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_a_request_that_stops_in_the_middle_is_answered_with_408(tight: Api, sent: bytes) -> None:
    with connected(tight) as connection:
        connection.sendall(sent)
        head, _, body = read_all(connection).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in head
    assert "within 2 s, without a pause of 1 s" in json.loads(body)["detail"]


def test_a_request_that_comes_byte_by_byte_is_answered_with_408(tight: Api) -> None:
    start = time.monotonic()
    with connected(tight) as connection:
        connection.sendall(HEAD + b"100\r\n\r\n")
        connection.settimeout(0.2)
        answer = b""
        while not answer and time.monotonic() < start + 10:
            connection.sendall(b" ")
            try:
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_connection_on_which_nothing_comes_is_closed_without_an_answer(tight: Api) -> None:
    with connected(tight) as connection:
        assert read_all(connection) == b""


def test_half_sent_requests_keep_nobody_out(tight: Api) -> None:
    with ExitStack() as stack:
        for sent in [b"GET /healthz HTTP/1.1\r\n", HEAD + b"100\r\n\r\n{"] * 30:
            stack.enter_context(connected(tight)).sendall(sent)
        is_well(tight)
        refused(tight.client.get("/experiments", params={"limit": "x"}), 422, "limit")


def test_a_request_that_is_not_http_is_answered_with_400(tight: Api) -> None:
    with connected(tight) as connection:
        connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    with connected(tight) as connection:  # a malformed chunk in the middle of a body
        head = HEAD.replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(head + b"1\r\n{\r\nno length\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")


@contextmanager
def waiting_for_the_database(api: Api, num_requests: int) -> Iterator[list[int]]:
    """Keep POST requests waiting for the database during the context; yield a list, which gets their statuses later."""
    statuses: list[int] = []

    def post() -> None:
        with httpx.Client(base_url=api.client.base_url, timeout=30, trust_env=False) as client:
            while (status := client.post("/experiments", json=SPEC).status_code) == 429:
                pass  # the test's own request takes a place at this moment
            statuses.append(status)

    threads = [threading.Thread(target=post) for _ in range(num_requests)]
    with api.changing() as repository:
        repository.experiments.page(limit=1)  # the transaction holds the lock of writers
        for thread in threads:
            thread.start()
        yield statuses
    for thread in threads:
        thread.join(30)


def test_more_requests_than_the_limit_are_refused_and_health_is_answered(tight: Api) -> None:
    with waiting_for_the_database(tight, 2) as statuses:
        deadline = time.monotonic() + 20
        while (answer := tight.client.get("/experiments")).status_code != 429 and time.monotonic() < deadline:
            pass  # the two requests have not arrived yet
        refused(answer, 429, "answers 2 requests at once")
        # The refusal is the same for a request whose body the endpoint does not read.
        refused(tight.client.post(f"/experiments/{'0' * 20}/cancel", json=SPEC), 429, "answers 2 requests at once")
        is_well(tight)
        assert tight.client.get("/readyz").status_code == 200
    assert statuses == [202, 202]
    assert tight.client.get("/experiments").status_code == 200


def test_bodies_beyond_the_memory_for_bodies_are_refused_and_small_ones_are_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tet.db'}"
    text = {"Content-Type": "text/plain"}  # refused once it is read
    with serving_api(tmp_path / "home", url, max_bytes_of_bodies=150_000) as api:

        def status_until(wanted: int, body: bytes) -> httpx.Response:
            deadline = time.monotonic() + 20
            while (answer := api.client.post("/experiments", content=body, headers=text)).status_code != wanted:
                assert time.monotonic() < deadline, answer.text
            return answer

        with connected(api) as first:
            first.sendall(HEAD + b"120001\r\n\r\n" + b" " * 120_000)
            refused(status_until(429, b" " * 100_000), 429, "holds 150,000 bytes of other bodies")
            refused(status_until(415, b" " * 60_000), 415, "a body must be")
        status_until(415, b" " * 100_000)  # the first client has left


def test_the_body_of_an_open_stream_does_not_count(tmp_path: Path) -> None:
    body = b" " * 100_000
    url = f"sqlite:///{tmp_path / 'tet.db'}"
    with serving_api(tmp_path / "home", url, max_bytes_of_bodies=150_000) as api, ExitStack() as stack:
        experiment = api.post(SPEC).json()["id"]
        for _ in range(3):
            stream = api.client.stream("GET", f"/experiments/{experiment}/events", content=body)
            answer = stack.enter_context(stream)
            assert answer.status_code == 200
            assert next(answer.iter_lines())
        posted = api.client.post("/experiments", content=body, headers={"Content-Type": "text/plain"})
        refused(posted, 415, "a body must be")


def _json() -> dict[str, str]:
    return {"Content-Type": "application/json"}


def test_a_large_document_is_checked_in_another_process_with_the_same_answer(tight: Api) -> None:
    spec = SPEC | {"description": "x" * 5_000}
    large, small = json.dumps(spec).encode(), json.dumps(SPEC).encode()
    yaml = {"Content-Type": "application/yaml"}
    checked = tight.client.post("/experiments/validate", content=large, headers=yaml)
    assert checked.status_code == 200, checked.text
    assert checked.json() == tight.client.post("/experiments/validate", content=small, headers=_json()).json()
    faulty = json.dumps(spec | {"seeds": [-1]}).encode()
    answers = [tight.client.post("/experiments", content=faulty, headers=each) for each in (yaml, _json())]
    assert answers[0].json() == answers[1].json()
    refused(answers[0], 422, "seeds[0]")
    posted = tight.client.post("/experiments", content=large, headers=yaml)
    assert posted.status_code == 202
    changes = {"description": "y" * 5_000, "seeds": [1]}
    answer = tight.client.post(
        "/experiments", params={"preset": "nothing"}, content=json.dumps(changes).encode(), headers=yaml
    )
    refused(answer, 404, "no preset 'nothing'")
    path = f"/experiments/{posted.json()['id']}/fork"
    refused(tight.client.post(path, content=b"[" + b"1, " * 3_000 + b"1]", headers=yaml), 422, "1 fault: $")


def test_a_spec_of_many_stages_is_resolved_in_another_process_with_the_same_answer(tight: Api) -> None:
    spec = SPEC | {"arms": [{"name": f"arm {n}", "stages": SPEC["arms"][0]["stages"] * 100} for n in range(6)]}
    answer = tight.client.post("/experiments/validate", json=spec)
    assert answer.status_code == 200, answer.text
    assert answer.json()["resolved"] == resolved_spec(parse(spec)).model_dump(mode="json")
    assert answer.json()["num_stages"] == 600


def test_clients_that_leave_in_the_middle_cause_no_traceback(tight: Api, caplog: pytest.LogCaptureFixture) -> None:
    experiment_id = tight.post(SPEC).json()["id"]
    folder = ExperimentFolder(tight.settings.storage, experiment_id)
    folder.driver_log(1).parent.mkdir(parents=True, exist_ok=True)
    folder.driver_log(1).write_bytes(b"line\n" * 2_000_000)
    yaml = HEAD.replace(b"json", b"yaml")
    requests = [
        f"GET /experiments/{experiment_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        f"GET /experiments/{experiment_id}/logs HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        HEAD + b"100\r\n\r\n{",
        HEAD.replace(b"/experiments ", b"/experiments/" + experiment_id.encode() + b"/rerun-best ") + b"100\r\n\r\n{",
        HEAD.replace(b"/experiments ", b"/experiments/" + experiment_id.encode() + b"/fork ") + b"100\r\n\r\n{",
        HEAD + b"2000000\r\n\r\n" + b" " * 100_000,
        HEAD + b"70000\r\n\r\n{" + b" " * 69_999,
        yaml + b"70000\r\n\r\n" + b"- 1\n" * 17_500,
    ]
    for sent in requests:
        for reset in (False, True):
            with connected(tight) as connection:
                if reset:
                    linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.sendall(sent)
                if sent.startswith(b"GET"):
                    assert connection.recv(100)
            is_well(tight)
    deadline, status = time.monotonic() + 20, 0
    while status != 200 and time.monotonic() < deadline:  # until the API has noticed that the last clients have left
        with tight.client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
            status = answer.status_code
    assert status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_answer_is_cut_off_if_the_client_does_not_read_it(tight: Api) -> None:
    experiment_id = tight.post(SPEC).json()["id"]
    folder = ExperimentFolder(tight.settings.storage, experiment_id)
    folder.driver_log(1).parent.mkdir(parents=True, exist_ok=True)
    size = 30_000_000  # more than the buffers of both sockets hold
    folder.driver_log(1).write_bytes(b"x" * size)
    with connected(tight) as connection:
        connection.sendall(f"GET /experiments/{experiment_id}/logs HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        threading.Event().wait(3)  # the client does not read
        received = 0
        try:
            while block := connection.recv(1_048_576):
                received += len(block)
        except ConnectionResetError:
            pass
    assert received < size


def test_streams_beyond_the_limits_are_refused_until_one_is_closed(tight: Api) -> None:
    first, second = (tight.post(SPEC | {"name": name}).json()["id"] for name in ("first", "second"))

    def stream(experiment_id: str) -> Any:
        return tight.client.stream("GET", f"/experiments/{experiment_id}/events")

    def refusal(experiment_id: str) -> httpx.Response:
        return tight.client.get(f"/experiments/{experiment_id}/events")

    with ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(stream(first)).status_code == 200
        refused(refusal(first), 429, f"experiment {first} has 2 open streams")
        with stream(second) as answer:
            assert answer.status_code == 200
            refused(refusal(second), 429, "this service has 3 open streams")
    deadline, status = time.monotonic() + 10, 0
    while status != 200 and time.monotonic() < deadline:
        with stream(second) as answer:
            status = answer.status_code
    assert status == 200


def test_a_stream_that_starts_late_or_falls_behind_gets_every_event_once(tmp_path: Path) -> None:
    with serving_api(tmp_path / "home", f"sqlite:///{tmp_path / 'tet.db'}") as api:
        experiment_id = api.post(SPEC).json()["id"]
        received: dict[int, list[int]] = {}
        listening = threading.Barrier(4)

        def listen(place: int) -> None:
            own = received.setdefault(place, [])
            with api.client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
                for line in answer.iter_lines():
                    if line.startswith("id: "):
                        own.append(int(line.removeprefix("id: ")))
                        if len(own) == 1:
                            listening.wait(30)

        threads = [threading.Thread(target=listen, args=(place,)) for place in range(3)]
        for thread in threads:
            thread.start()
        listening.wait(30)
        for epoch in range(1, 1500, 100):  # in all, more events than a page or a window holds
            with api.changing() as repository:
                for each in range(epoch, epoch + 100):
                    event = StageChanged(chain="c", stage=0, state=WorkState.RUNNING, epoch=each)
                    repository.events.add(experiment_id, event)
        with api.changing() as repository:
            assert repository.transitions.advance(experiment_id, ExperimentState.QUEUED, ExperimentState.CANCELLED)
        for thread in threads:
            thread.join(30)
        with api.database.reading() as repository:
            stored = [row.id for row in repository.events.list_after(experiment_id, 0, limit=5_000)]
        assert len(stored) == 1502
        assert received == dict.fromkeys(range(3), stored)
