"""Tests of the requests of `tet resume` and `tet retry`."""

from typing import Any, Self

import pytest
from typer.testing import CliRunner

from service.cli import steering
from service.cli.main import app


class Asked:
    """A client that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def resume(self, experiment_id: str, resources: Any) -> dict[str, Any]:
        self.calls.append(("resume", resources))
        return {"id": experiment_id, "state": "queued", "generation": 1}

    def retry(self, experiment_id: str, resources: Any) -> dict[str, Any]:
        self.calls.append(("retry", resources))
        return {"id": experiment_id, "state": "queued", "generation": 2}


@pytest.mark.parametrize("command", ["resume", "retry"])
@pytest.mark.parametrize(
    ("options", "resources"),
    [
        ([], {}),
        (["--workers", "4"], {"workers_per_trial": 4}),
        (["--workers", "4", "--gpus", "0.5"], {"workers_per_trial": 4, "gpus_per_trial": 0.5}),
        (["--cpus", "2", "--gpus", "0"], {"cpus_per_trial": 2, "gpus_per_trial": 0}),
    ],
)
def test_only_the_given_options_are_sent(
    monkeypatch: pytest.MonkeyPatch, command: str, options: list[str], resources: Any
) -> None:
    client = Asked()
    monkeypatch.setattr(steering, "connected", lambda: client)
    done = CliRunner().invoke(app, [command, "0" * 20, *options])
    assert done.exit_code == 0, done.output
    assert client.calls == [(command, resources)]
