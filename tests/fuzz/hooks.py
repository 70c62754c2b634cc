"""Hooks of schemathesis, loaded in its own process: requests use existing ids, and every answer is counted.

Only the inputs in the API's description are narrowed: a valid id is that of an existing experiment. Answers are checked
against the unchanged description.
"""

import atexit
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from ruamel.yaml import YAML

from service.presets import catalogue
from tests.fuzz.looking import Json

NAMES = Path(os.environ["FUZZ_NAMES"])
ARMS = ["SDT", "TET", "TIT"]
COUNTS = Path(os.environ["FUZZ_COUNTS"])
counts: Counter[str] = Counter()


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: Json) -> None:
    """Narrow the inputs to existing ids and names."""
    names = json.loads(NAMES.read_text())
    raw_schema["components"]["schemas"]["VerificationRequest"]["properties"]["chain"] = {"enum": names["chains"]}
    rerun = raw_schema["components"]["schemas"]["RerunRequest"]["properties"]
    rerun["arms"] = {"type": "array", "minItems": 1, "items": {"enum": ARMS}}
    for path, operations in raw_schema["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                known = _known(names, path, method, parameter["name"])
                if known is not None:
                    parameter["schema"] = {"enum": known}


def _known(names: Json, path: str, method: str, parameter: str) -> list[Any] | None:
    match parameter:
        case "experiment_id" if method == "delete":
            return list(names["doomed"])
        case "experiment_id" if path.endswith("/events"):  # other streams of events do not end yet
            return list(names["ended"])
        case "experiment_id" if path.endswith("/rerun-best"):  # most other experiments have nothing to choose
            return [*names["searched"], *names["experiments"][:1]]
        case "experiment_id":
            return [*names["experiments"], *names["doomed"][:3]]
        case "cursor" if path == "/experiments":
            return list(names["experiments"])
        case "chain":
            return list(names["chains"])
        case "number":
            return list(names["verifications"])
        case "preset" | "name" if path != "/experiments" or parameter == "preset":
            return sorted(catalogue.presets())
    return None


@schemathesis.serializer("application/yaml", "application/x-yaml", "text/yaml")
def yaml_1_2(context: Any, value: Any) -> bytes:
    """Write YAML 1.2. Schemathesis by itself writes YAML 1.1, which quotes other texts."""
    stream, yaml = io.BytesIO(), YAML(typ="safe", pure=True)
    # Within braces ruamel.yaml writes `:x` without quotes, but reads it as another value.
    yaml.default_flow_style = False
    yaml.dump(value, stream)
    return stream.getvalue()


@schemathesis.hook
def filter_path_parameters(context: Any, path_parameters: Json | None) -> bool:
    """Leave out lists and objects with a `?` or a `#`: these are sent without escaping and would end the path."""
    values = (path_parameters or {}).values()
    return not any(isinstance(value, list | dict) and set("?#") & set(str(value)) for value in values)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count the answer."""
    counts[str(response.status_code)] += 1


@schemathesis.hook
def after_network_error(context: Any, case: Any, request: Any) -> None:
    """Count a request without an answer."""
    counts["none"] += 1


@atexit.register
def _write_counts() -> None:
    COUNTS.write_text(json.dumps(counts))
