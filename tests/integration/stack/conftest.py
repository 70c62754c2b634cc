"""A separate stack for each test, with its home in a temporary folder and with free ports."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.cli.stack.process import PidFile, ProcessRecord
from service.settings import Settings
from tests.ports import free_ports

PORTS = ("API_PORT", "MLFLOW_PORT", "RAY_DASHBOARD_PORT", "RAY_GCS_PORT", "RAY_CLIENT_PORT", "RAY_AGENT_PORT")


@dataclass(frozen=True)
class Stack:
    """The program `tet` with the settings of one stack."""

    env: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.env)

    def tet(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env={**os.environ, **self.env, **env}, capture_output=True, text=True, timeout=400
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "service.cli.main", *arguments]

    def records(self) -> dict[str, ProcessRecord]:
        """Return the records of the components that have pid files."""
        found = {path.stem: PidFile(path).read() for path in (self.settings.home / "run").glob("*.json")}
        return {name: record for name, record in found.items() if record is not None}

    def ports(self) -> list[int]:
        return [int(self.env[f"TET_{name}"]) for name in PORTS]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    ports = {f"TET_{name}": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    made = Stack({**ports, "TET_HOME": str(tmp_path / "home"), "TET_NUM_CPUS": "1"})
    yield made
    made.tet("down")
