from collections.abc import Iterator

import pytest

from service.store.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty, migrated database, once on SQLite and once on PostgreSQL."""
    found = Database(database_url)
    found.migrate()
    yield found
    found.dispose()
