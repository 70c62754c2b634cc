"""Tests of the feeds: one query serves all streams, and none runs while nobody listens."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import event

from service.api import feeds as feeds_module
from service.api.feeds import Feeds, read_news
from service.events import StageChanged
from service.plan import plan
from service.spec.experiment import parse
from service.states import WorkState
from service.store.database import Database
from tests.unit.service.api.test_fairness import SPEC

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'tet.db'}")
    database.migrate()
    yield database
    database.dispose()


def new_experiment(database: Database) -> tuple[str, int]:
    """Store an experiment; return its id, and the id of its newest event."""
    spec = parse(SPEC)
    with database.session() as repository:
        experiment_id = repository.experiments.create(spec, plan(spec)).id
    with database.reading() as repository:
        return experiment_id, repository.events.newest(experiment_id)


def add(database: Database, experiment_id: str, epoch: int) -> None:
    with database.session() as repository:
        changed = StageChanged(chain="c", stage=0, state=WorkState.RUNNING, epoch=epoch)
        repository.events.add(experiment_id, changed)


async def test_all_streams_share_the_queries_and_without_streams_there_are_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds_module, "POLL_INTERVAL_S", 0.01)
    known = [new_experiment(database) for _ in range(3)]
    feeds = Feeds(database, max_streams=1000, max_streams_each=1000)
    rounds = 0

    def count(*_: object) -> None:
        nonlocal rounds
        rounds += 1

    event.listen(database.engine, "begin", count)
    with ExitStack() as stack:
        followed = [stack.enter_context(feeds.following(*each)) for each in known for _ in range(100)]
        assert feeds.num_streams == 300
        assert len({id(feed) for feed in followed}) == 3
        woken = [asyncio.create_task(feed.news()) for feed in followed[:100]]
        await asyncio.sleep(0)
        add(database, known[0][0], 1)
        rounds = 0
        await asyncio.wait_for(asyncio.gather(*woken), 20)
        assert rounds < 10  # for 300 streams; each round is one transaction
        assert [len(feed.window) for feed in (followed[0], followed[100], followed[200])] == [1, 0, 0]
    assert feeds.num_streams == 0
    await asyncio.wait_for(feeds.idle(), 20)
    before = rounds
    await asyncio.sleep(0.1)
    assert rounds == before
    await feeds.close()


async def test_a_feed_keeps_a_window_of_the_newest_events(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds_module, "WINDOW", 2)
    monkeypatch.setattr(feeds_module, "POLL_INTERVAL_S", 0.01)
    experiment_id, newest = new_experiment(database)
    feeds = Feeds(database, max_streams=1, max_streams_each=1)
    for epoch in range(5):
        add(database, experiment_id, epoch)
    with feeds.following(experiment_id, newest) as feed:
        await asyncio.wait_for(feed.news(), 20)
        ids = [number for number, _ in feed.after(0)]
        assert len(ids) == 2
        assert (feed.floor, feed.newest) == (ids[0] - 1, ids[1])
    await feeds.close()


async def test_streams_survive_a_database_that_fails_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feeds_module, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(feeds_module, "FAILED_WAIT_S", 0.01)
    experiment_id, newest = new_experiment(database)
    feeds = Feeds(database, max_streams=1, max_streams_each=1)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE events RENAME TO away")
    with feeds.following(experiment_id, newest) as feed:
        while not caplog.records:
            await asyncio.sleep(0.01)
        with database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO events")
        add(database, experiment_id, 1)
        await asyncio.wait_for(feed.news(), 20)
        assert len(feed.window) == 1
    await feeds.close()
    assert ["events cannot be read" in record.getMessage() for record in caplog.records] == [True]


async def test_streams_survive_an_error_that_nobody_expects(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feeds_module, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(feeds_module, "FAILED_WAIT_S", 0.01)
    experiment_id, newest = new_experiment(database)
    feeds = Feeds(database, max_streams=1, max_streams_each=1)
    add(database, experiment_id, 1)
    with database.engine.begin() as connection:  # no JSON: an error of the parser, not of the database
        connection.exec_driver_sql("CREATE TABLE kept AS SELECT id, data FROM events")
        connection.exec_driver_sql("UPDATE events SET data = '{'")
    with feeds.following(experiment_id, newest) as feed:
        async with asyncio.timeout(20):
            while not caplog.records:
                await asyncio.sleep(0.01)
            with database.engine.begin() as connection:
                connection.exec_driver_sql("UPDATE events SET data = (SELECT data FROM kept WHERE kept.id = events.id)")
            await feed.news()
        assert len(feed.window) == 1
    await feeds.close()
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_the_news_of_thousands_of_experiments_come_in_pages_oldest_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, newest), (last, _) = new_experiment(database), new_experiment(database)
    others = {f"{number:020}": 0 for number in range(3_000)}
    known = {first: newest, **others, last: newest + 1}
    for epoch in range(3):
        for each in (last, first):
            add(database, each, epoch)
    rows, closed = read_news(database, known)
    assert [(row.experiment_id, row.data["epoch"]) for row in rows] == [(e, n) for n in range(3) for e in (last, first)]
    assert (len(closed), closed[first], closed["0" * 20]) == (3_002, False, True)
    monkeypatch.setattr(feeds_module, "PAGE", 3)
    assert [row.id for row in read_news(database, known)[0]] == [row.id for row in rows[:3]]
