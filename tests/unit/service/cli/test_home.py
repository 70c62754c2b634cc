"""Tests of the folder TET_HOME: what the commands say if it cannot be used, and that its content is private."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.main import app
from service.cli.stack.component import RAY_OPEN, component_environment, components, ray_scratch
from service.cli.stack.home import StackError, make_home, make_private
from service.settings import Settings

# The longest path that Ray makes below its folder, and the longest path that a socket may have.
BELOW = "/session_2026-11-30_20-22-23_123456_4194304/sockets/dash_MetricsHead"
MAX_SOCKET_PATH = 107


def unusable(folder: Path, kind: str) -> tuple[Path, str]:
    """Make a home that cannot be used; return it and the reason."""
    home = folder / "home"
    match kind:
        case "file":
            home.write_text("")
            return home, "it is no folder"
        case "dangling link":
            home.symlink_to(folder / "nowhere")
            return home, f"it is a link to {folder / 'nowhere'}, which does not exist"
        case "link to a file":
            (folder / "file").write_text("")
            home.symlink_to(folder / "file")
            return home, "it is no folder"
        case _:
            (folder / "file").write_text("")
            return folder / "file" / "home", "Not a directory"


@pytest.mark.parametrize("kind", ["file", "dangling link", "link to a file", "below a file"])
@pytest.mark.parametrize("command", ["up", "status", "down"])
def test_the_reason_why_a_home_cannot_be_used_is_named(tmp_path: Path, command: str, kind: str) -> None:
    home, reason = unusable(tmp_path, kind)
    ended = CliRunner().invoke(app, [command], env={"TET_HOME": str(home), "TET_API_PORT": "9"})
    assert not isinstance(ended.exception, Exception), ended.exception
    if (command, kind) in (("down", "below a file"), ("status", "below a file")):
        return  # no stack can be there, so there is nothing to report
    assert ended.exit_code == 1
    assert f"TET_HOME={home} cannot be used: {reason}" in ended.stderr
    assert "set TET_HOME to a folder that you can write" in ended.stderr


def test_a_client_needs_no_home(tmp_path: Path) -> None:
    home, _ = unusable(tmp_path, "file")
    ended = CliRunner().invoke(app, ["list"], env={"TET_HOME": str(home), "TET_API_PORT": "9"})
    assert "no API answers at http://127.0.0.1:9" in ended.stderr


def test_an_empty_token_is_replaced(tmp_path: Path) -> None:
    settings = Settings.from_environment({"TET_HOME": str(tmp_path)})
    settings.ray_token_file.touch()
    make_home(settings)
    assert len(settings.ray_token_file.read_text()) == 64
    assert stat.S_IMODE(settings.ray_token_file.stat().st_mode) == 0o600


def test_the_folder_that_ray_opens_to_everybody_lies_in_a_private_one(tmp_path: Path) -> None:
    for home in (tmp_path, tmp_path / ("long" * 30) / ("home" * 30)):
        settings = Settings.from_environment({"TET_HOME": str(home)})
        ray = next(component for component in components(settings) if component.name == "ray")
        (option,) = [each for each in ray.command or () if each.startswith("--temp-dir=")]
        folder = Path(option.partition("=")[2])
        assert folder.parent == ray.scratch == ray_scratch(settings)
        assert len(f"{folder}{BELOW}") <= MAX_SOCKET_PATH


def test_ray_listens_on_this_machine_alone_unless_the_operator_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_environment({"TET_HOME": str(tmp_path)})
    monkeypatch.delenv(RAY_OPEN, raising=False)
    assert component_environment(settings)[RAY_OPEN] == "0"
    assert component_environment(settings)["TZ"] == "UTC"
    monkeypatch.setenv(RAY_OPEN, "1")
    assert component_environment(settings)[RAY_OPEN] == "1"


def test_a_private_folder_is_private_whatever_its_mode_was(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o777)
    (tmp_path / "a").chmod(0o777)
    make_private(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    (tmp_path / "b").write_text("")
    with pytest.raises(StackError, match="/b cannot be made: File exists"):
        make_private(tmp_path / "b")
