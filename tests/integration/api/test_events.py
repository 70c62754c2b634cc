import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.events import StageChanged
from service.states import ExperimentState, WorkState
from tests.integration.api.conftest import Api

Spec = dict[str, Any]
StreamEvent = tuple[int, str, dict[str, Any]]
E = ExperimentState


def events_of(answer: httpx.Response) -> Iterator[StreamEvent]:
    """Yield server-sent events as they come."""
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if line and not line.startswith(":"):
            key, _, value = line.partition(": ")
            event[key] = value
        elif event:
            yield int(event["id"]), event["event"], json.loads(event["data"])
            event = {}


@pytest.fixture
def experiment_id(api: Api, spec: Spec) -> str:
    return str(api.post(spec).json()["id"])


def progress(epoch: int, *, chain: str = "c") -> StageChanged:
    return StageChanged(chain=chain, stage=0, state=WorkState.RUNNING, epoch=epoch)


def end(api: Api, experiment_id: str) -> None:
    with api.changing() as repository:
        assert repository.transitions.advance(experiment_id, E.QUEUED, E.CANCELLED)


def test_events_come_as_they_happen_until_the_experiment_ends(api: Api, experiment_id: str) -> None:
    with api.client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        events = events_of(answer)
        _, kind, data = next(events)
        assert (kind, data["state"]) == ("experiment", "queued")
        with api.changing() as repository:
            repository.events.add(experiment_id, progress(1, chain="é 😀"))
        number, kind, data = next(events)
        assert (kind, data["epoch"], data["chain"]) == ("stage", 1, "é 😀")
        end(api, experiment_id)
        last = list(events)
    assert [(kind, data["state"]) for _, kind, data in last] == [("experiment", "cancelled")]
    assert last[0][0] > number


def test_a_client_that_reconnects_gets_the_events_it_missed_and_none_twice(api: Api, experiment_id: str) -> None:
    with api.changing() as repository:
        for epoch in range(1, 1201):
            repository.events.add(experiment_id, progress(epoch))
    end(api, experiment_id)
    path = f"/experiments/{experiment_id}/events"
    with api.client.stream("GET", path) as answer:
        everything = list(events_of(answer))
    assert [data["epoch"] for _, kind, data in everything if kind == "stage"] == list(range(1, 1201))
    with api.client.stream("GET", path, headers={"Last-Event-ID": str(everything[700][0])}) as answer:
        assert list(events_of(answer)) == everything[701:]
    after_all = api.client.get(path, headers={"Last-Event-ID": str(everything[-1][0])})
    assert (after_all.status_code, after_all.content) == (204, b"")


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30])
def test_an_invalid_event_id_is_refused(gate: Api, spec: Spec, last: str) -> None:
    experiment_id = gate.post(spec).json()["id"]
    answer = gate.client.get(f"/experiments/{experiment_id}/events", headers={"Last-Event-ID": last})
    assert answer.status_code == 422


def test_a_stream_without_events_keeps_its_connection_alive(
    gate: Api, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.experiments.stream.HEARTBEAT_S", 0.1)
    experiment_id = gate.post(spec).json()["id"]
    with gate.client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
        assert any(line.startswith(": ping") for line in answer.iter_lines())


def test_all_clients_get_the_same_events(api: Api, experiment_id: str) -> None:
    received: list[list[StreamEvent]] = []
    listening = threading.Barrier(9)

    def listen() -> None:
        with api.client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
            events = events_of(answer)
            first = next(events)
            listening.wait(60)
            received.append([first, *events])

    threads = [threading.Thread(target=listen) for _ in range(8)]
    for thread in threads:
        thread.start()
    listening.wait(60)
    end(api, experiment_id)
    for thread in threads:
        thread.join(60)
    assert len(received) == 8
    assert all(events == received[0] for events in received)
    assert len(received[0]) == 2


def test_the_stream_of_a_deleted_experiment_ends(api: Api, experiment_id: str) -> None:
    with api.client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
        events = events_of(answer)
        next(events)
        with api.changing() as repository:
            repository.upkeep.delete(experiment_id)
        assert list(events) == []
