import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from service.api.app import create_app
from service.api.connections import LimitedServer
from service.api.server import server_config
from service.settings import Settings
from service.store.database import Database
from service.store.repository import Repository


@dataclass
class Api:
    """A served API, a client for it, and its database."""

    client: httpx.Client
    settings: Settings
    database: Database

    def post(self, spec: Any, **headers: str) -> httpx.Response:
        return self.client.post("/experiments", json=spec, headers={k.replace("_", "-"): v for k, v in headers.items()})

    @contextmanager
    def changing(self) -> Iterator[Repository]:
        """Open a transaction, in which the test changes rows as the reconciler would."""
        with self.database.session() as repository:
            yield repository


class _Server(LimitedServer):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextmanager
def served(settings: Settings, *, reconcile: bool = False) -> Iterator[httpx.Client]:
    """Serve the app on a free port, as `python -m service.api` does."""
    config = server_config(create_app(settings, reconcile=reconcile), settings, log_level="warning")
    server = _Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert server.up.wait(90), "the API did not start"
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def settings_for(home: Path, database_url: str, **changes: Any) -> Settings:
    # Nothing listens on this port, so Ray never answers.
    return Settings.model_validate(
        {"home": home, "database_url": database_url, "ray_url": "http://127.0.0.1:9", **changes}
    )


@contextmanager
def serving_api(home: Path, database_url: str, **changes: Any) -> Iterator[Api]:
    settings = settings_for(home, database_url, **changes)
    with served(settings) as client:
        database = Database(settings.database_url)
        try:
            yield Api(client, settings, database)
        finally:
            database.dispose()


@pytest.fixture
def api(tmp_path: Path, database_url: str) -> Iterator[Api]:
    """Serve the API without a reconciler, on each kind of database."""
    with serving_api(tmp_path / "home", database_url) as api:
        yield api


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Serve one API on SQLite for the many tests that need no fresh database; it also accepts two other hosts."""
    home = tmp_path_factory.mktemp("gate")
    with serving_api(home, f"sqlite:///{home / 'tet.db'}", allowed_hosts=("tet.lab", "proxy.lab:8443")) as api:
        yield api


@pytest.fixture
def spec() -> dict[str, Any]:
    """Return a spec: SDT, TET and TIT on digits, three seeds; 9 chains, 12 stages."""

    def stage(name: str, T: int, epochs: int) -> dict[str, Any]:
        loss = {"name": "tet", "lamb": 0.05, "phi": 1.0} if name == "tet" else {"name": "sdt"}
        return {"kind": "train", "T": T, "epochs": epochs, "loss": loss}

    return {
        "name": "digits: SDT, TET, TIT",
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small"},
        "arms": [
            {"name": "SDT", "stages": [stage("sdt", 4, 20)]},
            {"name": "TET", "stages": [stage("tet", 4, 20)]},
            {"name": "TIT", "stages": [stage("tet", 2, 20), stage("tet", 4, 5)]},
        ],
        "baseline": "SDT",
        "seeds": [0, 1, 2],
        "resources": {"cpus_per_trial": 1, "gpus_per_trial": 0, "workers_per_trial": 1},
    }
