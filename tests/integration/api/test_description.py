import re
import subprocess
import sys
from typing import Any

import pytest

from service.spec import parse
from tests.integration.api.conftest import Api
from tests.root import ROOT


def test_the_api_describes_bodies_answers_and_problems(gate: Api, spec: dict[str, Any]) -> None:
    document = gate.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    post = document["paths"]["/experiments"]["post"]
    body = post["requestBody"]["content"]
    assert set(body) == {"application/json", "application/yaml", "application/x-yaml", "text/yaml"}
    whole, part = ({"$ref": f"#/components/schemas/{name}"} for name in ("Spec", "SpecChanges"))
    assert body["application/json"]["schema"] == {"anyOf": [whole, part]}, "with a preset, a part of a spec is enough"
    assert body["application/json"]["example"] == spec
    parse(body["application/json"]["example"])
    assert set(post["responses"]) == {"202", "400", "404", "409", "413", "415", "422", "429"}
    assert post["responses"]["422"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
    referred = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))
    assert referred <= set(schemas)
    assert "HTTPValidationError" not in schemas


def test_a_fork_accepts_any_part_of_a_spec_and_a_deletion_has_an_empty_answer(gate: Api) -> None:
    document = gate.client.get("/openapi.json").json()
    at = document["paths"]["/experiments/{experiment_id}"]
    fork = document["paths"]["/experiments/{experiment_id}/fork"]["post"]
    assert fork["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/SpecChanges"}
    assert "Location" in fork["responses"]["202"]["headers"]
    part, whole = (document["components"]["schemas"][name] for name in ("SpecChanges", "Spec"))
    assert set(part["properties"]) == set(whole["properties"])
    assert "required" not in part
    assert part["properties"]["dataset"]["type"] == "object"
    assert "content" not in at["delete"]["responses"]["202"]
    identity = next(each for each in at["delete"]["parameters"] if each["name"] == "experiment_id")
    assert identity["schema"]["pattern"] == "^[0-9a-f]{20}$"


def test_the_documentation_page_loads_nothing_from_other_hosts(gate: Api) -> None:
    page = gate.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text) + re.findall(r"url: '([^']+)'", page.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith("/")
        assert gate.client.get(link).status_code == 200


@pytest.mark.parametrize("module", ["service.api.app", "service.api.__main__"])
def test_importing_the_app_loads_no_torch_no_ray_and_no_mlflow(module: str) -> None:
    heavy = ("torch", "ray", "mlflow")
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output.strip() == ""
