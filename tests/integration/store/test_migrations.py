"""The migrations make what the tables say."""

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from service.store.database import Database
from service.store.tables import Table


def test_the_migrations_make_the_tables_that_the_code_reads(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_a_database_says_what_it_lacks(database_url: str) -> None:
    found = Database(database_url)
    assert "the database is at version None" in (found.pending_migration() or "")
    found.migrate()
    assert found.pending_migration() is None
    found.dispose()


def test_many_may_migrate_at_once_and_again(database_url: str) -> None:
    def migrate(_: int) -> str | None:
        found = Database(database_url)
        found.migrate()
        problem = found.pending_migration()
        found.dispose()
        return problem

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(migrate, range(4))) == [None] * 4
    assert migrate(0) is None
