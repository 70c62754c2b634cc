"""Where results are kept: a JSON file each, with the versions of what was run."""

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
        name: Of the check or the benchmark.
        packages: Whose versions belong to the result.
        result: Plain data.

    Returns:
        The file.
    """
    versions = {"python": platform.python_version()} | {package: version(package) for package in packages}
    document = {"name": name, "versions": versions, "machine": platform.machine(), **result}
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return file
