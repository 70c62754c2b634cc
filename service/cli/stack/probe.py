"""Does a component truly do its work? Each question is one that its users ask, never a mere sign of life."""

from pathlib import Path
from typing import Any

import httpx

from service.settings import Settings

TIMEOUT_S = 5.0


class Unhealthy(Exception):  # noqa: N818 - an answer, not an error of this program
    """Why a component does not do its work."""


def ray(settings: Settings) -> None:
    """Asks the Jobs API for its list, with our token, and looks for a living node."""
    headers = {"Authorization": f"Bearer {_token(settings.ray_token_file)}"}
    _ask("GET", f"{settings.ray_url}/api/jobs/", headers=headers)
    answer = _ask("GET", f"{settings.ray_url}/nodes?view=summary", headers=headers)
    if not any(node["raylet"].get("state") == "ALIVE" for node in answer["data"]["summary"]):
        raise Unhealthy("no node is alive")


def mlflow(settings: Settings) -> None:
    """Searches its experiments: /health is green even where every call is refused for its host name."""
    _ask("POST", f"{settings.mlflow_url}/api/2.0/mlflow/experiments/search", json={"max_results": 1})


def api(settings: Settings) -> None:
    """Asks whether the API is ready to take experiments."""
    _ask("GET", f"{settings.api_url}/readyz")


def _ask(method: str, url: str, **arguments: Any) -> Any:
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:  # never through a proxy
            response = client.request(method, url, **arguments)
    except httpx.HTTPError as error:
        raise Unhealthy(f"{url} does not answer: {error or type(error).__name__}") from None
    if not response.is_success:
        raise Unhealthy(f"{url} answers {response.status_code}: {' '.join(response.text.split())[:200]}")
    try:
        return response.json()
    except ValueError:
        raise Unhealthy(f"{url} answers, but not with JSON") from None


def _token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Unhealthy(f"Ray's token cannot be read: {error}") from None
