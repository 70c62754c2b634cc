"""Tests of the housekeeper: it removes files and rows of ended experiments, and delivers webhooks."""

import base64
import hashlib
import hmac
import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.control import housekeeper, webhook
from service.control.housekeeper import Housekeeper
from service.events import utc_now
from service.plan import plan
from service.reasons import NO_REASON
from service.settings import Settings
from service.spec import parse
from service.states import Cleanup, ExperimentState
from service.store.tables import ExperimentRow
from tests.integration.control.conftest import Desk
from tests.serving import running
from tests.unit.service.runner.writing import METRICS
from tests.unit.service.spec.test_spec import spec


class Receiver:
    """The requests that a web server got, and the status that it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.paths: list[str] = []


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
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
        yield found, f"127.0.0.1:{server.server_address[1]}"


def ended(desk: Desk, state: ExperimentState = ExperimentState.SUCCEEDED, **changes: Any) -> str:
    parsed = parse(spec(**changes))
    with desk.database.session() as repository:
        experiment_id = repository.experiments.create(parsed, plan(parsed)).id
        repository.transitions.advance(experiment_id, ExperimentState.QUEUED, state, reason=NO_REASON)
    return experiment_id


def write_checkpoints(desk: Desk, experiment_id: str) -> Path:
    """Write a stage with two epochs: the first is the best, the second the last; return the experiment's folder."""
    stage = desk.folder(experiment_id).stage(desk.first_chain(experiment_id), 0)
    stage.attempt(1).mkdir(parents=True)
    stage.commits.mkdir()
    for epoch in (1, 2):
        name = f"attempts/0001/epoch-{epoch:06d}.pt"
        (stage.path / name).write_bytes(b"weights")
        commit = {"epoch": epoch, "checkpoint": name, "metrics": METRICS}
        (stage.commits / f"{epoch:06d}.json").write_text(json.dumps(commit))
    (stage.attempt(1) / "model.pt").write_bytes(b"weights")
    return desk.folder(experiment_id).path


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*.pt"))


def row(desk: Desk, experiment_id: str) -> ExperimentRow | None:
    with desk.database.session() as repository:
        return repository.upkeep.get_locked(experiment_id)


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("best_and_last", ["epoch-000001.pt", "epoch-000002.pt", "model.pt"]),
        ("last", ["epoch-000002.pt", "model.pt"]),
        ("none", []),
    ],
)
def test_checkpoints_are_kept_as_the_spec_says(desk: Desk, keep: str, left: list[str]) -> None:
    experiment = ended(desk, retention={"checkpoints": keep})
    folder = write_checkpoints(desk, experiment)
    for _ in range(2):
        Housekeeper(desk.database, desk.settings).round()
    assert files(folder) == left
    assert len(list(folder.rglob("commits/*.json"))) == 2
    found = row(desk, experiment)
    assert found is not None
    assert found.cleanup is None
    assert (found.checkpoints_removed_at is not None) == (keep == "none")


def test_an_expired_experiment_is_deleted_with_all_its_files(desk: Desk) -> None:
    experiment, young = (ended(desk, retention={"delete_after_days": 1}) for _ in range(2))
    folder = write_checkpoints(desk, experiment)
    with desk.database.session() as repository:
        repository.experiments.get(experiment).delete_at = utc_now() - timedelta(seconds=1)
    Housekeeper(desk.database, desk.settings).round()
    assert not folder.exists()
    assert list((desk.settings.storage / "trash").iterdir()) == []
    assert row(desk, experiment) is None
    assert row(desk, young) is not None


def test_an_interrupted_removal_is_finished_by_the_next_one(desk: Desk) -> None:
    experiment = ended(desk)
    folder = write_checkpoints(desk, experiment)
    with desk.database.session() as repository:
        repository.requests.remove(experiment, Cleanup.EVERYTHING)
    trash = desk.settings.storage / "trash" / experiment
    trash.parent.mkdir()
    folder.rename(trash)  # the interrupted removal came this far
    folder.mkdir()  # and a zombie started to write again
    Housekeeper(desk.database, desk.settings).round()
    assert not trash.exists()
    assert not folder.exists()
    assert row(desk, experiment) is None


def test_an_experiment_is_not_deleted_while_mlflow_does_not_answer(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = ended(desk)
    with desk.database.session() as repository:
        repository.experiments.get(experiment).mlflow_experiment_id = "7"
        repository.requests.remove(experiment, Cleanup.EVERYTHING)
    away = Settings.model_validate({**dict(desk.settings), "mlflow_url": "http://127.0.0.1:9"})
    Housekeeper(desk.database, away).round()
    assert row(desk, experiment) is not None
    assert "the removal failed: MLflow does not answer: ConnectError" in caplog.text


def test_a_webhook_is_delivered_once_and_signed(desk: Desk, receiver: tuple[Receiver, str]) -> None:
    found, host = receiver
    desk.settings = Settings.model_validate({**dict(desk.settings), "webhook_hosts": host})
    experiment = ended(desk, ExperimentState.FAILED, webhook={"url": f"http://{host}/hook?a=b"})
    for _ in range(3):
        Housekeeper(desk.database, desk.settings).round()
    ((headers, body),) = found.requests
    assert found.paths == ["/hook?a=b"]
    sent = json.loads(body)
    assert (sent["type"], sent["data"]["id"], sent["data"]["state"]) == ("experiment.failed", experiment, "failed")
    assert headers["webhook-id"] == f"{experiment}-1"
    secret = desk.settings.webhook_secret_file
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    key = base64.b64decode(secret.read_text().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    known = row(desk, experiment)
    assert known is not None
    assert (known.notify_tries, known.notify_error, known.notify_at) == (1, "", None)
    assert known.notified_at is not None


@pytest.mark.parametrize("status", [500, 302])
def test_a_refused_webhook_is_tried_again_up_to_a_limit(
    desk: Desk, receiver: tuple[Receiver, str], status: int
) -> None:
    found, host = receiver
    found.status = status
    desk.settings = Settings.model_validate({**dict(desk.settings), "webhook_hosts": "127.0.0.1"})
    experiment = ended(desk, webhook={"url": f"http://{host}/"})
    for tries in range(1, webhook.MAX_TRIES + 2):
        Housekeeper(desk.database, desk.settings).round()
        known = row(desk, experiment)
        assert known is not None
        assert known.notify_error == f"the receiver answered {status}"
        assert known.notify_tries == min(tries, webhook.MAX_TRIES)
        with desk.database.session() as repository:
            fresh = repository.experiments.get(experiment)
            fresh.notify_at = None if fresh.notify_at is None else utc_now()
    assert len(found.requests) == webhook.MAX_TRIES
    assert set(found.paths) == {"/"}, "a redirect leads nowhere"


def test_no_webhook_is_sent_to_a_host_that_is_no_longer_allowed(desk: Desk, receiver: tuple[Receiver, str]) -> None:
    found, host = receiver
    experiment = ended(desk, webhook={"url": f"http://{host}/"})
    Housekeeper(desk.database, desk.settings).round()
    known = row(desk, experiment)
    assert known is not None
    assert known.notify_error == f"{host} is not among the hosts that TET_WEBHOOK_HOSTS allows"
    assert found.requests == []


def test_the_wait_for_the_next_try_doubles_up_to_an_hour() -> None:
    now = utc_now()
    waits = [webhook.next_try(tries, now) for tries in range(1, webhook.MAX_TRIES + 1)]
    seconds = [None if at is None else (at - now).total_seconds() for at in waits]
    assert seconds == [5, 10, 20, 40, 80, 160, 320, 640, 1280, None]


def test_the_thread_ends_when_it_is_asked_to_stop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeper, "INTERVAL_S", 0.01)
    experiment = ended(desk, retention={"checkpoints": "none"})
    folder = write_checkpoints(desk, experiment)
    keeper = Housekeeper(desk.database, desk.settings)
    keeper.start()
    keeper.ask_to_stop()
    assert keeper.ended_within(60)
    assert files(folder) in ([], ["epoch-000001.pt", "epoch-000002.pt", "model.pt"])
