"""Health checks of the components. Each sends a request as users do, because a process can run without working.

`python -m service.cli.stack.probe NAME` runs one of them and exits with 1 if it fails. Containers use it as their
health check, with the names and the token that the other containers use.
"""

import json
import os
import re
import socket
import sys
from typing import Any

import httpx

from service.cli.exchange import Received, beginning, exchange, is_earlier_api
from service.identity import Identity, instance_of
from service.settings import Settings

# Seconds between two parts of an answer, and until the whole answer.
TIMEOUT_S, WITHIN_S = 5.0, 10.0
# Characters of the API's own words that are shown.
MAX_DETAIL = 500
# What MLflow answers at /version, such as 3.17.2 or 3.18.0.dev0.
_VERSION = re.compile(rb"\d+\.\d+[0-9A-Za-z.+-]{0,40}\s*")


class Unhealthy(Exception):  # noqa: N818 - an answer, not an error of this program
    """The reason why a component does not work."""


def ray(settings: Settings) -> None:
    """Ask the Jobs API for its list, with our token, and look for a living node."""
    url = f"{settings.ray_url}/api/jobs/"
    jobs = _ask("GET", url, headers=_token(settings))
    if not isinstance(jobs, list):
        raise Unhealthy(
            f"{url} answers in an unknown form, not as Ray does: beginning {beginning(json.dumps(jobs).encode())}"
        )
    if not _living_nodes(settings):
        raise Unhealthy("no node is alive")


def ray_node(settings: Settings) -> None:
    """Ask the head whether the node on this machine is alive."""
    if socket.gethostname() not in _living_nodes(settings):
        raise Unhealthy(f"the head knows no living node on {socket.gethostname()}")


def mlflow(settings: Settings) -> None:
    """Search MLflow's experiments: /health succeeds even if MLflow refuses every call because of its host name."""
    url = f"{settings.mlflow_url}/api/2.0/mlflow/experiments/search"
    found = _ask("POST", url, json={"max_results": 1, "view_type": "ALL"})
    listed = found.get("experiments", []) if isinstance(found, dict) else None
    if not isinstance(listed, list) or not all(_is_mlflow_experiment(each) for each in listed):
        raise Unhealthy(f"{url} is not answered by MLflow: beginning {beginning(json.dumps(found).encode())}")
    # Without an experiment the answer is an empty object, which other programs give too.
    if not listed and not _VERSION.fullmatch(version := _received("GET", f"{settings.mlflow_url}/version").content):
        text = f"its /version begins {beginning(version)}" if version else "its /version is empty"
        raise Unhealthy(f"{settings.mlflow_url} is not answered by MLflow: {text}")


def _is_mlflow_experiment(value: object) -> bool:
    return isinstance(value, dict) and "experiment_id" in value and "lifecycle_stage" in value


def api(settings: Settings) -> None:
    """Ask whether the API of this stack is ready to take experiments."""
    url = f"{settings.api_url}/readyz"
    received = _received("GET", url)
    identity = Identity.from_headers(received.headers)
    own = instance_of(settings.home)
    if identity is None:
        raise Unhealthy(f"{settings.api_url} is answered by {_unnamed(settings.api_url)}: GET /readyz gave {received}")
    if identity.instance != own:
        other = f"the API of another stack (instance {identity.instance}, version {identity.version})"
        mine = f"the API of TET_HOME={settings.home} is instance {own}"
        raise Unhealthy(f"{settings.api_url} is answered by {other}; {mine}; TET_API_PORT sets its port")
    if not received.is_success:
        raise Unhealthy(f"{url} answers {received.status}: {_detail(received)}")


def _unnamed(url: str) -> str:
    """Say which program answers without an identity."""
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        earlier = is_earlier_api(client, url, within_s=WITHIN_S)
    if earlier:
        return "an earlier version of the API, which does not say to which stack it belongs (`tet down`, then `tet up`)"
    return "another program, not by the API (end it, or set TET_API_PORT)"


def _detail(received: Received) -> str:
    """Return why the API is not ready, from its problem document."""
    try:
        problem = received.json()
    except ValueError:
        problem = None
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return " ".join(detail.split())[:MAX_DETAIL] if isinstance(detail, str) else str(received)


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
        shown = beginning(json.dumps(answer).encode())
        raise Unhealthy(f"{url} answers in an unknown form, not as Ray does: beginning {shown}") from None
    return [node["hostname"] for node in nodes if "hostname" in node]


def _ask(method: str, url: str, **arguments: Any) -> Any:
    """Return what a successful answer holds as JSON."""
    received = _received(method, url, **arguments)
    if not received.is_success:
        raise Unhealthy(f"{url} answers {received.status}: {received}")
    try:
        return received.json()
    except ValueError:
        raise Unhealthy(f"{url} answers, but not with JSON: {received}") from None


def _received(method: str, url: str, **arguments: Any) -> Received:
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:  # never through a proxy
            return exchange(client, method, url, within_s=WITHIN_S, **arguments)
    except httpx.HTTPError as error:
        reason = beginning(str(error).encode(errors="backslashreplace")) if str(error) else type(error).__name__
        raise Unhealthy(f"{url} does not answer: {reason}") from None


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
