from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty, migrated database, once on SQLite and once on PostgreSQL."""
    found = Database(database_url)
    found.migrate()
    yield found
    found.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """An empty, migrated SQLite database, for what does not depend on the kind."""
    found = Database(f"sqlite:///{tmp_path / 'tet.db'}")
    found.migrate()
    yield found
    found.dispose()
