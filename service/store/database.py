"""The database: SQLite by default, PostgreSQL by its URL. Sessions are short; each is one transaction."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.orm import Session

from service.errors import TetError
from service.identity import own_version
from service.store.repository import Repository

MIGRATIONS = Path(__file__).parent / "migrations"
# Seconds that a writer waits for another writer before SQLite raises an error.
SQLITE_BUSY_TIMEOUT_S = 20
# Number of connections to PostgreSQL that stay open. Under load, up to as many more are opened and closed again.
NUM_CONNECTIONS = 15
# An arbitrary number: it names the lock under which one process at a time migrates a PostgreSQL database.
MIGRATION_LOCK = 7_481_126
# Alembic's table.
REVISIONS = "alembic_version"


class DatabaseUnknown(TetError):  # noqa: N818 - named for what it says
    """The error of a database that a newer version of the service, or another program, has written."""


class Database:
    """An engine, its migrations, and its transactions, each with a `Repository`."""

    def __init__(self, url: str) -> None:
        """Open the database.

        Args:
            url: SQLAlchemy URL, `sqlite:////absolute/path` or `postgresql+psycopg://...`.
        """
        self.engine = _engine(url)

    def migrate(self) -> None:
        """Migrate the tables to the newest version; do nothing if they have it.

        Raises:
            DatabaseUnknown: A newer version of the service has migrated them.
        """
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            if (refusal := self._refusal(connection)) is not None:
                raise DatabaseUnknown(refusal)
            command.upgrade(alembic_config(connection), "head")

    @property
    def name(self) -> str:
        """The database's URL, without its password."""
        return self.engine.url.set(query={}).render_as_string(hide_password=True)

    def refusal(self) -> str | None:
        """Return why this version cannot use the database; None if it can."""
        with self.engine.connect() as connection:
            return self._refusal(connection)

    def _refusal(self, connection: Connection) -> str | None:
        unknown = [each for each in _revisions(connection) if each not in _known_revisions()]
        if not unknown:
            return None
        return (
            f"the database {self.name} is at revision {', '.join(map(repr, unknown))}, which a newer version of this "
            f"service, or another program, has written: this version, {own_version()}, knows revisions up to "
            f"{_newest_version()!r}. Install the newer version, or restore a backup from before the upgrade"
        )

    def pending_migration(self) -> str | None:
        """Return, in words, which version the tables have and which they need; None if they have the newest one."""
        newest = _newest_version()
        with self.engine.execution_options(read_only=True).connect() as connection:
            refusal, current = self._refusal(connection), ", ".join(_revisions(connection)) or None
        if refusal is not None:
            return refusal
        return None if current == newest else f"the database is at version {current}, this service needs {newest}"

    @contextmanager
    def reading(self) -> Iterator[Repository]:
        """Open a transaction that only reads; on SQLite it waits for no writer."""
        with Session(self.engine.execution_options(read_only=True), expire_on_commit=False) as session, session.begin():
            yield Repository(session)

    @contextmanager
    def session(self) -> Iterator[Repository]:
        """Open a transaction: commit it on a clean exit, roll it back on an error."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield Repository(session)

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@cache
def _newest_version() -> str | None:
    """Return the version of the newest migration; cached, because /readyz asks often."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def _revisions(connection: Connection) -> tuple[str, ...]:
    """Return the revisions of the tables: none in a new database, one in ours."""
    # Alembic's own function for this logs two lines at each call, and /readyz asks often.
    if not inspect(connection).has_table(REVISIONS):
        return ()
    return tuple(connection.execute(text(f"SELECT version_num FROM {REVISIONS}")).scalars())


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration: the folder of the migrations, and the connection to use."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=NUM_CONNECTIONS, max_overflow=NUM_CONNECTIONS)
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The sqlite3 module starts a transaction too late for it to be serialisable; `_begin_sqlite` starts it earlier.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. Retry while another process switches too: SQLite itself does not wait here."""
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: between a transaction's read and its write no other transaction may write.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
