"""Tests of the migrations."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text, update
from sqlalchemy.orm import Session

from service.events import utc_now
from service.reasons import Reason, ReasonKind
from service.store.database import Database, DatabaseUnknown, alembic_config
from service.store.tables import (
    ChainRow,
    CurvesRow,
    EventFileRow,
    EventRow,
    ExperimentRow,
    LineageRow,
    OutcomeRow,
    ResampledPairRow,
    StageRow,
    Table,
    VerificationRow,
)
from tests.integration.store.test_repository import CHAINS, create
from tests.root import ROOT

VERSIONS = sorted(file.name[:4] for file in (ROOT / "service/store/migrations/versions").glob("[0-9]*.py"))[:-1]


def test_the_migrations_make_the_tables_that_the_code_reads(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_a_database_reports_its_missing_migrations(database_url: str) -> None:
    found = Database(database_url)
    assert "the database is at version None" in (found.pending_migration() or "")
    found.migrate()
    assert found.pending_migration() is None
    found.dispose()


def test_a_database_of_a_newer_version_is_refused_in_one_sentence_and_not_touched(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    url = database.engine.url
    said = f"the database .*{url.database}.* is at revision '9999', which a newer version of this service, or another "
    with pytest.raises(DatabaseUnknown, match=said + "program, has written: .* Install the newer version") as caught:
        database.migrate()
    assert (url.password or "no password") not in str(caught.value)
    assert database.pending_migration() == database.refusal() == str(caught.value)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_a_database_of_this_or_an_earlier_version_is_not_refused(database: Database) -> None:
    assert database.refusal() is None
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert database.refusal() is None


def test_processes_may_migrate_at_the_same_time_and_again(database_url: str) -> None:
    def migrate(_: int) -> str | None:
        found = Database(database_url)
        found.migrate()
        problem = found.pending_migration()
        found.dispose()
        return problem

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(migrate, range(4))) == [None] * 4
    assert migrate(0) is None


def test_processes_may_open_a_new_file_at_the_same_time(tmp_path: Path) -> None:
    def mode(url: str) -> str:
        found = Database(url)
        with found.engine.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        found.dispose()
        return str(mode)

    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            assert set(pool.map(mode, [f"sqlite:///{tmp_path}/{number}.db"] * 8)) == {"wal"}


def test_undone_migrations_leave_no_table(database: Database) -> None:
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    database.migrate()
    assert database.pending_migration() is None


def fill(database: Database) -> None:
    """Store rows in every table."""
    parent, child = create(database, key="k"), create(database)
    at = utc_now()
    with Session(database.engine) as session, session.begin():
        (chain, *_) = session.scalars(select(ChainRow.id).where(ChainRow.experiment_id == parent))
        session.add_all(
            [
                OutcomeRow(experiment_id=parent, generation=1, state="failed", reason="", finished_at=at),
                LineageRow(experiment_id=child, parent_id=parent),
                VerificationRow(experiment_id=parent, number=1, chain_id=chain, stage=0, created_at=at),
                CurvesRow(experiment_id=parent, chain_id=chain, index=0, packed=b"", summary={}, error=""),
                ResampledPairRow(experiment_id=parent, arm="TET", to="SDT", seeds=[0], result=None, error="no bits"),
                EventRow(experiment_id=parent, at=at, type="stage", data={}),
                EventFileRow(experiment_id=parent, driver_attempt=1),
            ]
        )


def counted(database: Database) -> dict[str, int]:
    """Return the number of rows of each table that exists in the database."""
    with database.engine.connect() as connection:
        names = set(inspect(connection).get_table_names()) & set(Table.metadata.tables)
        return {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in names}


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_of_every_earlier_version_are_kept_and_read(database: Database, version: str) -> None:
    fill(database)
    assert min(counted(database).values()) > 0, "fill() stores no row in a table"
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), version)
    earlier = counted(database)
    assert min(earlier.values()) > 0
    database.migrate()
    assert counted(database).items() >= earlier.items()
    with Session(database.engine) as session:
        for mapper in Table.registry.mappers:
            required = [column.key for column in mapper.column_attrs if not column.columns[0].nullable]
            for row in session.scalars(select(mapper.class_)):
                assert [name for name in required if getattr(row, name) is None] == [], mapper.class_
    with database.reading() as repository:
        for shown in repository.experiments.page(limit=10):
            found = repository.experiments.get(shown.id)
            assert found.current_reason() == Reason(ReasonKind.NONE, "")
            assert len(repository.work.chains(found.id)) == len(CHAINS)


def test_failures_that_were_stored_before_there_were_types_get_a_type(database: Database) -> None:
    create(database)
    failures: list[dict[str, Any] | None] = [
        {"class": "cluster", "kind": "OSError", "message": "gone", "traceback": ""},
        {"class": "user", "kind": "KeyError", "message": "x", "traceback": ""},
        {"type": "storage", "class": "cluster", "kind": None, "message": "full", "traceback": ""},
        None,
    ]
    with database.engine.begin() as connection:
        keys = connection.execute(select(StageRow.chain_id, StageRow.index)).all()[: len(failures)]
        for (chain, number), failure in zip(keys, failures, strict=True):
            is_this_stage = (StageRow.chain_id == chain, StageRow.index == number)
            connection.execute(update(StageRow).where(*is_this_stage).values(failure=failure))
        command.downgrade(alembic_config(connection), "0003")
    database.migrate()
    with database.engine.connect() as connection:
        stored = select(StageRow.chain_id, StageRow.index, StageRow.failure)
        found = {(chain, number): failure for chain, number, failure in connection.execute(stored)}
    assert [found.pop((chain, number)) for chain, number in keys] == [
        {"type": "node_lost"} | (failures[0] or {}),
        {"type": "error"} | (failures[1] or {}),
        failures[2],
        None,
    ]
    assert set(found.values()) == {None}


def test_configurations_of_earlier_searches_are_numbered_within_their_arm(database: Database) -> None:
    create(database)
    with database.engine.begin() as connection:
        chains = connection.execute(select(ChainRow.id, ChainRow.arm, ChainRow.seed).order_by(ChainRow.position)).all()
        for chain, _, seed in chains:
            values = {"optimizer.lr": 0.1 if seed else 0.2}
            connection.execute(update(ChainRow).where(ChainRow.id == chain).values(hyperparameters=values))
        command.downgrade(alembic_config(connection), "0005")
    database.migrate()
    with database.engine.connect() as connection:
        found = connection.execute(select(ChainRow.id, ChainRow.configuration)).all()
    first = chains[0].seed
    assert dict(found) == {chain: int((seed > 0) != (first > 0)) for chain, _, seed in chains}


def test_experiments_that_were_stored_before_there_were_stretches_have_none(database: Database) -> None:
    experiment_id = create(database)
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0006")
    database.migrate()
    with database.engine.connect() as connection:
        stored = select(ExperimentRow.id, ExperimentRow.stretch_started_at, ExperimentRow.work_at_stretch)
        found = connection.execute(stored).all()
    assert found == [(experiment_id, None, 0)]


# State, reason and hold, as an earlier version stored them, and the kind that the migration gives to the reason.
REASONS = [
    ("queued", "", "", ReasonKind.NONE),
    ("running", "", "", ReasonKind.NONE),
    ("queued", "waits for a node: a trial needs 1 CPU(s)", "", ReasonKind.WAITS_FOR_NODE),
    ("queued", "waits: ann may run 1 at once, and does", "", ReasonKind.WAITS_FOR_OWNER),
    ("queued", "the storage is full: 1 MB are free at /s, and 268 MB have to be", "", ReasonKind.STORAGE),
    ("queued", "the storage cannot be written: No space left on device (/s)", "", ReasonKind.STORAGE),
    ("paused", "the disk; it goes on", "the disk; it goes on", ReasonKind.STORAGE),
    ("running", "the service cannot go on with it: OSError: no; it is tried again and again", "", ReasonKind.TROUBLE),
    ("running", "Ray does not answer: HTTP 503: the head is busy", "", ReasonKind.RAY_SILENT),
    ("starting", "Ray did not take the job: HTTP 500: no", "", ReasonKind.RAY_REFUSED),
    ("starting", "driver 1 is gone (FAILED: it died); the next one is starting", "", ReasonKind.DRIVER_LOST),
    ("running", "12 points wait for MLflow: refused", "", ReasonKind.WAITS_FOR_MLFLOW),
    ("pausing", "Ray was asked to stop the driver", "", ReasonKind.STOPPING),
    ("pausing", "HTTP 503: the head is busy", "", ReasonKind.STOPPING),
    ("succeeded", "", "", ReasonKind.NONE),
    ("failed", "3 of 9 chains failed", "", ReasonKind.FAILED),
    ("cancelled", "cancelled while it ran", "", ReasonKind.CANCELLED),
]


def test_reasons_of_the_previous_version_get_a_kind_and_keep_their_words(database: Database) -> None:
    ids = [create(database) for _ in REASONS]
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0008")
        assert "reason_kind" not in {column["name"] for column in inspect(connection).get_columns("experiments")}
        for experiment_id, (state, words, hold, _) in zip(ids, REASONS, strict=True):
            values = {"state": state, "reason": words, "hold": hold}
            connection.execute(update(ExperimentRow).where(ExperimentRow.id == experiment_id).values(values))
    database.migrate()
    with database.reading() as repository:
        rows = [repository.experiments.get(experiment_id) for experiment_id in ids]
    assert [row.current_reason() for row in rows] == [Reason(kind, words) for _, words, _, kind in REASONS]


def test_stored_specs_keep_the_reuse_of_processes_that_they_were_posted_with(database: Database) -> None:
    posted: list[dict[str, Any]] = [
        {"name": "a"},
        {"name": "b", "resources": {"cpus_per_trial": 2}},
        {"name": "c", "resources": {"reuse_actors": True}},
    ]
    ids = [create(database) for _ in posted]
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0015")
        for experiment_id, spec in zip(ids, posted, strict=True):
            connection.execute(update(ExperimentRow).where(ExperimentRow.id == experiment_id).values(spec=spec))
    database.migrate()
    with database.reading() as repository:
        specs = [repository.experiments.get(experiment_id).spec for experiment_id in ids]
    assert specs == [
        {"name": "a", "resources": {"reuse_actors": False}},
        {"name": "b", "resources": {"cpus_per_trial": 2, "reuse_actors": False}},
        posted[2],
    ]
    with database.engine.begin() as connection:
        of_the_first = update(ExperimentRow).where(ExperimentRow.id == ids[0])
        connection.execute(of_the_first.values(spec={"name": "a", "resources": {"reuse_actors": "auto"}}))
        command.downgrade(alembic_config(connection), "0015")
        stored = connection.execute(select(ExperimentRow.id, ExperimentRow.spec)).all()
    assert {row.id: row.spec for row in stored} == dict(zip(ids, specs, strict=True))


def test_a_migration_that_was_killed_is_repeated_by_the_next_process(database_url: str) -> None:
    script = f"""
import os, signal
from alembic import op
from service.store.database import Database
create, tables = op.create_table, []
def killing(name, *arguments, **named):
    if name == "events":
        os.kill(os.getpid(), signal.SIGKILL)
    return create(name, *arguments, **named)
op.create_table = killing
Database({database_url!r}).migrate()
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL
    found = Database(database_url)
    found.migrate()
    assert found.pending_migration() is None
    found.dispose()
