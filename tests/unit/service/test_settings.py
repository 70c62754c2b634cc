"""Tests of settings: defaults, derived settings, and errors that name the variable."""

from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from service.settings import Settings, SettingsInvalid, variable
from tests.root import ROOT


def read(**env: str) -> Settings:
    return Settings.from_environment(env)


def test_default_paths_are_in_a_home_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read()
    assert settings.home == tmp_path / ".tet"
    assert settings.storage == tmp_path / ".tet/storage"
    assert settings.ray_token_file == tmp_path / ".tet/ray.token"
    assert settings.database_url == f"sqlite:///{tmp_path}/.tet/tet.db"
    assert (settings.api_url, settings.mlflow_url) == ("http://127.0.0.1:8000", "http://127.0.0.1:5000")
    assert settings.ray_public_url == settings.ray_url == "http://127.0.0.1:8265"
    assert settings.max_running == 1


def test_urls_follow_the_ports() -> None:
    settings = read(TET_MLFLOW_PORT="5001", TET_RAY_DASHBOARD_PORT="8266", TET_MLFLOW_PUBLIC_URL="https://lab/mlflow/")
    assert settings.mlflow_url == "http://127.0.0.1:5001"
    assert settings.mlflow_public_url == "https://lab/mlflow"
    assert settings.ray_url == "http://127.0.0.1:8266"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_urls_use_psycopg(scheme: str) -> None:
    assert read(TET_DATABASE_URL=f"{scheme}://u:p@db/tet").database_url == "postgresql+psycopg://u:p@db/tet"


def test_a_relative_sqlite_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(TET_DATABASE_URL="sqlite:///x.db").database_url == f"sqlite:///{tmp_path}/x.db"
    assert read(TET_DATABASE_URL="sqlite:////var/x.db").database_url == "sqlite:////var/x.db"


def test_a_child_reads_the_same_settings_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(TET_HOME="here", TET_ALLOWED_HOSTS="api:8000, lab", TET_NUM_CPUS="2", TET_DATA="d")
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment(settings.environment()) == settings
    assert settings.allowed_hosts == ("api:8000", "lab")


def test_an_empty_variable_counts_as_unset() -> None:
    assert read(TET_API_PORT="", TET_NUM_CPUS=" ") == read()


def test_every_error_names_its_variable_and_its_value() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(TET_API_PORT="80a", TET_MAX_RUNNING="0", TET_RAY_URL="ray://head")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["TET_API_PORT=80a", "TET_RAY_URL=ray", "TET_MAX_RUNNING=0"]


def test_the_database_password_is_shown_nowhere() -> None:
    with pytest.raises(SettingsInvalid, match="TET_DATABASE_URL is neither") as caught:
        read(TET_DATABASE_URL="mysql://u:hunter2@db/tet")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(read(TET_DATABASE_URL="postgresql://u:hunter2@db/tet"))


def test_two_components_cannot_share_a_port() -> None:
    with pytest.raises(SettingsInvalid, match="TET_API_PORT and TET_MLFLOW_PORT are both 5000"):
        read(TET_API_PORT="5000")


def test_the_api_url_is_loopback_for_every_interface_and_has_brackets_for_ipv6() -> None:
    assert read(TET_API_HOST="0.0.0.0").api_url == "http://127.0.0.1:8000"
    assert read(TET_API_HOST="::1").api_url == "http://[::1]:8000"


def row(name: str, field: FieldInfo) -> str:
    """Return a setting's row in the guide.

    A default that is not a plain value is in brackets at the end of the field's description.
    """
    description, _, derived = (field.description or "").partition(" [")
    plain = "" if field.is_required() or field.default in (None, ()) else str(field.default)
    shown = derived.rstrip("]") or (plain if plain.replace(".", "", 1).isdigit() else f"`{plain}`" * bool(plain))
    assert description.endswith("."), name
    return f"| `{variable(name)}` | {shown}{' ' * bool(shown)}| {description} |"


def test_the_guide_for_operators_has_every_setting() -> None:
    guide = (ROOT / "docs" / "guides" / "operations.md").read_text()
    section = guide.partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `TET_")]
    assert rows == [row(name, field) for name, field in Settings.model_fields.items()]


def test_connections_must_be_more_than_requests_and_streams() -> None:
    problem = "TET_MAX_CONNECTIONS=512: must be larger than TET_MAX_REQUESTS \\+ TET_MAX_STREAMS = 628"
    with pytest.raises(SettingsInvalid, match=problem):
        read(TET_MAX_STREAMS="500")
    assert read(TET_MAX_STREAMS="500", TET_MAX_CONNECTIONS="1000").max_streams == 500
