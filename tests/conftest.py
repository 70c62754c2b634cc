"""Databases for tests: SQLite in a folder, and a PostgreSQL server made for one session of tests."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Server, binaries

# Folders whose tests share something that is expensive to start; elsewhere a file's tests do.
SHARING = ("integration/experiment", "integration/failures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the work: what shares a stack goes to one of them, what takes long goes first."""
    here = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(here)
        folder = place.parent.as_posix()
        item.add_marker(pytest.mark.xdist_group(folder if folder in SHARING else place.as_posix()))
    items.sort(key=lambda item: (item.get_closest_marker("stack") is None, "unit" in item.path.parts))


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
