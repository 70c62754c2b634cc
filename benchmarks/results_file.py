"""The files of results: one JSON file for each benchmark, with the versions of the measured packages."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def write(name: str, packages: Sequence[str], result: Mapping[str, Any]) -> Path:
    """Write `results/<name>.json`.

    Args:
        name: Name of the check or the benchmark.
        packages: Names of the packages whose versions are stored.
        result: The result as plain data.

    Returns:
        The file.
    """
    versions = {"python": platform.python_version()} | {package: version(package) for package in packages}
    document = {"name": name, "versions": versions, "machine": platform.machine(), **result}
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return file
