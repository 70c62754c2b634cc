import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.store.database import Database
from tests.root import ROOT


def command() -> list[str]:
    return [sys.executable, "-m", "service.api"]


def test_the_process_serves_and_ends_on_sigterm_in_spite_of_an_open_stream(
    tmp_path: Path, spec: dict[str, Any]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {
        "TET_HOME": str(tmp_path / "home"),
        "TET_API_PORT": str(port),
        "TET_RAY_URL": "http://127.0.0.1:9",
    }
    process = subprocess.Popen(command(), cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        started = next((line for line in lines if "Uvicorn running" in line), None)
        assert started is not None, "the API did not start"
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO uvicorn.error: ", started)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            assert client.get("/readyz").status_code == 200
            experiment_id = client.post("/experiments", json=spec).json()["id"]
            with client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
                assert next(answer.iter_lines())
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.parametrize(("name", "value"), [("TET_API_PORT", "x"), ("TET_DATABASE_URL", "mysql://a")])
def test_an_invalid_setting_is_named_and_nothing_starts(tmp_path: Path, name: str, value: str) -> None:
    env = os.environ | {"TET_HOME": str(tmp_path / "home"), name: value}
    ended = subprocess.run(command(), cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "home").exists()


def newer(folder: Path) -> tuple[dict[str, str], str]:
    url = f"sqlite:///{folder / 'newer.db'}"
    database = Database(url)
    database.migrate()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.dispose()
    return {"TET_DATABASE_URL": url}, f"the database {url} is at revision '9999', which a newer version"


def no_database(folder: Path) -> tuple[dict[str, str], str]:
    (folder / "text.db").write_text("this is no database, but a text that is long enough to be read as one" * 10)
    url = f"sqlite:///{folder / 'text.db'}"
    return {"TET_DATABASE_URL": url}, f"the database {url} (TET_DATABASE_URL) cannot be used: file is not a database"


def home_is_a_file(folder: Path) -> tuple[dict[str, str], str]:
    (folder / "file").write_text("")
    values = {"TET_HOME": str(folder / "file"), "TET_STORAGE": str(folder / "storage")}
    return values, f"TET_HOME={folder / 'file'} cannot be used: File exists"


def storage_is_a_dangling_link(folder: Path) -> tuple[dict[str, str], str]:
    (folder / "link").symlink_to(folder / "nowhere")
    values = {"TET_STORAGE": str(folder / "link")}
    return values, f"TET_STORAGE={folder / 'link'} cannot be used: it is a link to {folder / 'nowhere'}"


@pytest.mark.parametrize("make", [newer, no_database, home_is_a_file, storage_is_a_dangling_link])
def test_the_reason_why_the_api_cannot_start_is_one_line(
    tmp_path: Path, make: Callable[[Path], tuple[dict[str, str], str]]
) -> None:
    values, said = make(tmp_path)
    env = os.environ | {"TET_HOME": str(tmp_path / "home")} | values
    ended = subprocess.run(command(), cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith(said), ended.stderr
    assert ended.stderr.count("\n") == 1
