"""Databases for tests: SQLite in a folder, and a PostgreSQL server made for one session of tests."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Server, binaries


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server of our own, which goes when the tests end."""
    if binaries() is None:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql (nothing else needs setting up)")
    server = Server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tet.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database(f"test_{secrets.token_hex(8)}") as url:
        yield url
