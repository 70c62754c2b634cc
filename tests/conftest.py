"""Databases for tests, SQLite and PostgreSQL, and the order of tests and their distribution over processes."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.postgres import Server, binaries

# A slow machine makes no test fail: Hypothesis's limit of 0.2 s for an example is off.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Folders whose tests share a stack. In other folders, only the tests of one file share their fixtures.
SHARING = ("tests/integration/experiment/main", "tests/integration/experiment/kinds", "tests/integration/failures")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Return a scheduler that gives tests with shared fixtures to one process."""
    return _ByPlace(config, log)


class _ByPlace(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder in SHARING else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests: the longest ones first, so that no process still runs a long test when the others have ended."""
    items.sort(key=lambda item: (item.get_closest_marker("stack") is None, "unit" in item.path.parts))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a PostgreSQL server for this session of tests, and yield it."""
    if binaries() is None:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql (no further set-up is needed)")
    server = Server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tet.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database(f"test_{secrets.token_hex(8)}") as url:
        yield url
