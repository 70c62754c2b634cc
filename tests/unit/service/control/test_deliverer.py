"""Tests of the deliverer: it tries every row, even if the delivery of other rows fails."""

import base64
import hashlib
import hmac
import json
import stat
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.control import delivery, webhook
from service.control.deliverer import Deliverer
from service.events import utc_now
from service.plan import plan
from service.reasons import NO_REASON
from service.settings import Settings
from service.spec import parse
from service.states import ExperimentState
from service.store.database import Database
from service.store.tables import ExperimentRow
from tests.serving import running
from tests.unit.service.spec.test_spec import spec


class Receiver:
    """The requests that a web server got, and the status that it answers. Under /drip, the server never answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.paths: list[str] = []
        self.host = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/drip":
                self.rfile.read(1)  # until the client leaves
                return
            found.requests.append(({key.lower(): value for key, value in self.headers.items()}, body))
            found.paths.append(self.path)
            self.send_response(found.status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with running(server):
        found.host = f"127.0.0.1:{server.server_address[1]}"
        yield found


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'tet.db'}")
    database.migrate()
    yield database
    database.dispose()


def deliverer(database: Database, tmp_path: Path, hosts: str) -> Deliverer:
    home = {"TET_HOME": str(tmp_path), "TET_WEBHOOK_HOSTS": hosts}
    return Deliverer(database, Settings.from_environment(home))


def ended(database: Database, url: str, state: ExperimentState = ExperimentState.SUCCEEDED) -> str:
    """Store an experiment that has ended. Its address is not checked: older versions accepted more addresses."""
    parsed = parse(spec(webhook={"url": url}))
    with database.session() as repository:
        experiment_id = repository.experiments.create(parsed, plan(parsed)).id
        repository.transitions.advance(experiment_id, ExperimentState.QUEUED, state, reason=NO_REASON)
    return experiment_id


def row(database: Database, experiment_id: str) -> ExperimentRow:
    with database.reading() as repository:
        return repository.experiments.get(experiment_id)


def test_a_webhook_is_delivered_once_and_signed(database: Database, tmp_path: Path, receiver: Receiver) -> None:
    experiment = ended(database, f"http://{receiver.host}/hook?a=b", ExperimentState.FAILED)
    for _ in range(3):
        deliverer(database, tmp_path, receiver.host).round()
    ((headers, body),) = receiver.requests
    assert receiver.paths == ["/hook?a=b"]
    sent = json.loads(body)
    assert (sent["type"], sent["data"]["id"], sent["data"]["state"]) == ("experiment.failed", experiment, "failed")
    assert headers["webhook-id"] == f"{experiment}-1"
    secret = tmp_path / "webhook.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    key = base64.b64decode(secret.read_text().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    known = row(database, experiment)
    assert (known.notify_tries, known.notify_error, known.notify_at) == (1, "", None)
    assert known.notified_at is not None


@pytest.mark.parametrize("status", [500, 302])
def test_a_refused_webhook_is_tried_again_up_to_a_limit(
    database: Database, tmp_path: Path, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    experiment = ended(database, f"http://{receiver.host}/")
    for tries in range(1, webhook.MAX_TRIES + 2):
        deliverer(database, tmp_path, "127.0.0.1").round()
        known = row(database, experiment)
        assert known.notify_error == f"the receiver answered {status}"
        assert known.notify_tries == min(tries, webhook.MAX_TRIES)
        with database.session() as repository:
            fresh = repository.experiments.get(experiment)
            fresh.notify_at = None if fresh.notify_at is None else utc_now()
    assert len(receiver.requests) == webhook.MAX_TRIES
    assert set(receiver.paths) == {"/"}, "a redirect leads nowhere"


def test_no_webhook_is_sent_to_a_host_that_is_no_longer_allowed(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    experiment = ended(database, f"http://{receiver.host}/")
    deliverer(database, tmp_path, "").round()
    problem = f"{receiver.host} is not among the hosts that TET_WEBHOOK_HOSTS allows"
    assert row(database, experiment).notify_error == problem
    assert receiver.requests == []


# Addresses that older versions accepted, each with the beginning of its error.
BAD_URLS = {
    "http://127.0.0.1:abc/": "webhook.url the port 'abc' must be a number from 1 to 65535",
    "http://127.0.0.1:99999/": "webhook.url the port '99999' must be",
    "http://127.0.0.1:-1/": "webhook.url the port '-1' must be",
    "http://127.0.0.1:\u0663/": "webhook.url the port '\u0663' must be",
    "http://:pw@127.0.0.1/": "webhook.url must be an address of the form",
    "http://127.0.0.1/\x1b[2J": "webhook.url must hold no control, bidirectional or invisible characters; character 18",
    "http://2130706433/": "webhook.url the host '2130706433' must be",
    "http://[::1": "webhook.url must be an address of the form",
    "http://127.0.0.1:9/": "ConnectError: ",
    "http://169.254.169.254/": "169.254.169.254 cannot be used: 169.254.169.254 is a link-local address",
}


def test_bad_rows_and_silent_receivers_stop_no_other_delivery(
    database: Database, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "DEADLINE_S", 1.5)
    bad = {ended(database, url): problem for url, problem in BAD_URLS.items()}
    dripping = [ended(database, f"http://{receiver.host}/drip") for _ in range(4)]
    broken = ended(database, f"http://{receiver.host}/")
    with database.session() as repository:
        repository.experiments.get(broken).finished_at = None  # no version stores this
    good = [ended(database, f"http://{receiver.host}/") for _ in range(3)]
    start = time.monotonic()
    deliverer(database, tmp_path, "127.0.0.1,169.254.169.254").round()
    assert time.monotonic() - start < 10
    assert [row(database, each).notified_at is not None for each in good] == [True] * 3
    for experiment, problem in bad.items():
        known = row(database, experiment)
        assert known.notify_error.startswith(problem)
        assert (known.notify_tries, known.notified_at) == (1, None)
        assert known.notify_at is not None
    late = f"{receiver.host} did not answer completely within 1.5 s"
    assert [(row(database, each).notify_error, row(database, each).notify_tries) for each in dripping] == [
        (late, 1)
    ] * 4
    assert row(database, broken).notify_error.startswith("the webhook could not be sent: AssertionError")


def test_a_key_that_cannot_be_read_counts_as_a_try(database: Database, tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "webhook.secret").mkdir()
    experiment = ended(database, f"http://{receiver.host}/")
    deliverer(database, tmp_path, receiver.host).round()
    known = row(database, experiment)
    assert known.notify_error.startswith("the webhook could not be sent: IsADirectoryError")
    assert known.notify_tries == 1


def test_the_wait_for_the_next_try_doubles_up_to_an_hour() -> None:
    now = utc_now()
    waits = [webhook.next_try(tries, now) for tries in range(1, webhook.MAX_TRIES + 1)]
    seconds = [None if at is None else (at - now).total_seconds() for at in waits]
    assert seconds == [5, 10, 20, 40, 80, 160, 320, 640, 1280, None]
