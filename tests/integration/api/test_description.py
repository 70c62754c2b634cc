import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.spec import parse
from tests.integration.api.conftest import Api


def test_the_api_describes_bodies_answers_and_problems(gate: Api, spec: dict[str, Any]) -> None:
    document = gate.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    post = document["paths"]["/experiments"]["post"]
    body = post["requestBody"]["content"]
    assert set(body) == {"application/json", "application/yaml", "application/x-yaml", "text/yaml"}
    assert body["application/json"]["schema"] == {"$ref": "#/components/schemas/Spec"}
    assert body["application/json"]["example"] == spec
    parse(body["application/json"]["example"])
    assert set(post["responses"]) == {"202", "400", "404", "409", "413", "415", "422"}
    assert post["responses"]["422"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
    referred = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))
    assert referred <= set(schemas)
    assert "HTTPValidationError" not in schemas


def test_the_page_of_the_documentation_needs_no_other_host(gate: Api) -> None:
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
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == ""
