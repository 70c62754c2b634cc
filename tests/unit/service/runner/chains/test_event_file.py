"""Tests of a driver's event file."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.control.ingest import read_lines
from service.events import EVENT, OutboxChanged, Outcome
from service.runner.chains.event_file import EventFile
from service.states import ExperimentState


def test_an_appended_event_can_be_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = EventFile(path)
    file.append(Outcome(state=ExperimentState.FAILED, reason="zwei\nZeilen"))
    lines, offset = read_lines(path, 0)
    assert [EVENT.validate_json(line).type for line in lines] == ["outcome"]
    assert offset == path.stat().st_size
    file.close()


def test_events_that_threads_append_at_once_are_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = EventFile(path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: file.append(OutboxChanged(pending=n, error="x" * 10_000)), range(200)))
    file.close()
    events = [EVENT.validate_json(line) for line in path.read_bytes().splitlines()]
    assert sorted(event.pending for event in events if isinstance(event, OutboxChanged)) == list(range(200))


def test_a_file_that_is_opened_again_keeps_its_events(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for pending in (1, 2):
        file = EventFile(path)
        file.append(OutboxChanged(pending=pending))
        file.close()
    assert len(path.read_bytes().splitlines()) == 2
