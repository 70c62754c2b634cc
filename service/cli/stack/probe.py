"""Health checks of the components. Each makes a request that users make, because a process can run without working.

`python -m service.cli.stack.probe NAME` runs one of them and exits with 1 if it fails. Containers use it as their
health check, with the names and the token that the other containers use.
"""

import os
import socket
import sys
from typing import Any

import httpx

from service.settings import Settings

TIMEOUT_S = 5.0


class Unhealthy(Exception):  # noqa: N818 - an answer, not an error of this program
    """The reason why a component does not work."""


def ray(settings: Settings) -> None:
    """Ask the Jobs API for its list, with our token, and look for a living node."""
    _ask("GET", f"{settings.ray_url}/api/jobs/", headers=_token(settings))
    if not _living_nodes(settings):
        raise Unhealthy("no node is alive")


def ray_node(settings: Settings) -> None:
    """Ask the head whether the node on this machine is alive."""
    if socket.gethostname() not in _living_nodes(settings):
        raise Unhealthy(f"the head knows no living node on {socket.gethostname()}")


def mlflow(settings: Settings) -> None:
    """Search MLflow's experiments: /health succeeds even if MLflow refuses every call because of its host name."""
    _ask("POST", f"{settings.mlflow_url}/api/2.0/mlflow/experiments/search", json={"max_results": 1})


def api(settings: Settings) -> None:
    """Ask whether the API is ready to take experiments."""
    _ask("GET", f"{settings.api_url}/readyz")


CHECKS = {"ray": ray, "ray-node": ray_node, "mlflow": mlflow, "api": api}


def main(name: str) -> int:
    """Run the check `name`; return the exit status."""
    try:
        CHECKS[name](Settings.from_environment())
    except Unhealthy as reason:
        print(reason)
        return 1
    return 0


def _living_nodes(settings: Settings) -> list[str]:
    """Return the host names of Ray's living nodes; a new node has no name until its agent reports it."""
    url = f"{settings.ray_url}/nodes?view=summary"
    answer = _ask("GET", url, headers=_token(settings))
    try:
        nodes = [node for node in answer["data"]["summary"] if node.get("raylet", {}).get("state") == "ALIVE"]
    except (KeyError, TypeError, AttributeError):
        raise Unhealthy(f"{url} answers in an unknown form: {str(answer)[:200]}") from None
    return [node["hostname"] for node in nodes if "hostname" in node]


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


def _token(settings: Settings) -> dict[str, str]:
    """Return Ray's header, with the token of our own file or, in a container, of the environment."""
    try:
        token = settings.ray_token_file.read_text().strip()
    except OSError as error:
        token = os.environ.get("RAY_AUTH_TOKEN", "")
        if not token:
            raise Unhealthy(f"Ray's token cannot be read: {error}") from None
    return {"Authorization": f"Bearer {token}"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
