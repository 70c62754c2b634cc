import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import anyio
import httpx
import psutil
import pytest
from sqlalchemy import create_engine, make_url, text

from service.api.app import create_app
from service.api.feeds import Feeds
from service.errors import Overloaded
from service.identity import Identity
from service.settings import Settings
from service.store.database import Database
from tests.integration.api.conftest import Api, served, settings_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "home", f"sqlite:///{tmp_path / 'tet.db'}")


def reasons(client: httpx.Client) -> dict[str, str]:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    return {error["field"]: error["detail"] for error in answer.json()["errors"]}


def test_a_complete_service_is_ready(settings: Settings) -> None:
    with served(settings, reconcile=True) as client:
        identity = Identity.of(settings.home)
        lively = {"status": "ok", "service": "tet", "version": identity.version, "instance": identity.instance}
        assert client.get("/healthz").json() == lively
        assert client.get("/readyz").json() == {"status": "ok"}


def test_a_service_without_its_tables_is_not_ready(api: Api) -> None:
    with api.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    assert "version" in reasons(api.client)["database"]
    assert api.client.get("/healthz").status_code == 200


def test_a_service_without_its_storage_is_not_ready(settings: Settings) -> None:
    with served(settings) as client:
        settings.storage.rmdir()
        assert "cannot be written" in reasons(client)["storage"]


def control_process() -> psutil.Process:
    (found,) = [child for child in psutil.Process().children() if child.cmdline()[1:] == ["-m", "service.control"]]
    return found


def test_every_part_ends_even_if_another_cannot(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Feeds) -> None:
        raise RuntimeError("it cannot be closed")

    monkeypatch.setattr(Feeds, "close", broken)
    app = create_app(settings)

    async def live() -> None:
        async with app.router.lifespan_context(app):
            assert control_process().is_running()

    with pytest.raises(RuntimeError, match="it cannot be closed"):
        anyio.run(live)
    assert app.state.context.control.problem().startswith("the control process does not run")
    with pytest.raises(Overloaded, match="the service ends"):
        app.state.context.checkers.call(len, "")


def test_a_control_process_that_died_is_reported_and_restarted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.control.child.RESTART_WAIT_S", 5.0)  # the report stays for this long
    with served(settings, reconcile=True) as client:
        first = control_process()
        first.kill()
        first.wait(10)
        assert "does not run" in reasons(client)["reconciler"]
        deadline = time.monotonic() + 60
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
        second = control_process()
        assert second.pid != first.pid
    assert not second.is_running()


def test_a_control_process_ends_with_its_parent(settings: Settings) -> None:
    parent = "import psutil, sys; from service.control.child import *; c = ControlProcess(Settings.from_environment());"
    script = f"{parent} c.start(); print(c.problem(), psutil.Process().children()[0].pid, flush=True);"
    script += " import os; os.kill(os.getpid(), 9)"
    Database(settings.database_url).migrate()
    environment = {**os.environ, **settings.environment()}
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    problem, pid = said.stdout.split()
    assert problem == "None", said.stderr
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(pid)).wait(30)


def test_an_unexpected_error_shows_only_where_to_find_it_in_the_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def page(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("service.api.experiments.views.experiment_page", page)
    with served(settings) as client:
        answer = client.get("/experiments")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert Identity.from_headers(answer.headers) == Identity.of(settings.home)
    assert "secret" not in answer.text
    mark = answer.json()["detail"].split()[-1]
    assert any(mark in record.message and record.exc_info for record in caplog.records)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite is a file and always reachable
def test_an_unreachable_database_is_reported(api: Api) -> None:
    url = make_url(api.settings.database_url)
    server = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
        ending = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ending, {"name": url.database})
    server.dispose()
    answer = api.client.get("/experiments")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "cannot be reached" in reasons(api.client)["database"]
