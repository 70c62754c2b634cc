from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return an empty, migrated database, once on SQLite and once on PostgreSQL."""
    found = Database(database_url)
    found.migrate()
    yield found
    found.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """Return an empty, migrated SQLite database, for tests that need no other kind."""
    found = Database(f"sqlite:///{tmp_path / 'tet.db'}")
    found.migrate()
    yield found
    found.dispose()
