"""Migrated databases for the tests of the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield an empty, migrated database, once on SQLite and once on PostgreSQL."""
    migrated = Database(database_url)
    migrated.migrate()
    yield migrated
    migrated.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """Yield an empty, migrated SQLite database, for tests that do not depend on the kind of database."""
    migrated = Database(f"sqlite:///{tmp_path / 'tet.db'}")
    migrated.migrate()
    yield migrated
    migrated.dispose()
