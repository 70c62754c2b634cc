"""Databases for tests: SQLite in a folder, and a PostgreSQL server made for one session of tests."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.postgres import Server, binaries

# Folders whose tests share a stack; elsewhere a file's tests share what is expensive to start.
SHARING = ("tests/integration/experiment", "tests/integration/failures")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Where several processes share the work, what shares something goes to one of them."""
    return _ByPlace(config, log)


class _ByPlace(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder in SHARING else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first, so that no process is left alone with it at the end."""
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
