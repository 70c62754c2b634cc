"""A client of the API, for the command line."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from service.errors import TetError

# An answer of the API as it came: for programs that ask for JSON. What decides anything is read by `as_model` first.
Json = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)

CONTENT_TYPES = {".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml"}
TRIES = 4
TIMEOUT_S = 30.0


class Unreachable(TetError):  # noqa: N818 - named for what it says
    """No API answers at its address."""


class Refused(TetError):  # noqa: N818
    """The API answered with a problem document (RFC 9457).

    Attributes:
        status: The HTTP status.
        problem: The document; empty if the answer is not one.
    """

    def __init__(self, status: int, problem: Json, fallback: str) -> None:
        self.status = status
        self.problem = problem
        heading = str(problem.get("detail") or problem.get("title") or fallback or "no reason given")
        super().__init__("\n".join([f"{heading} (HTTP {status})", *map(_fault, problem.get("errors", []))]))


class Client:
    """One connection to the API; use it as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, body: bytes, content_type: str, key: str | None = None, *, preset: str | None = None) -> Json:
        """Post a spec, or changes to a preset, and return the new experiment.

        Without a key, make one: a second try after a lost answer then cannot post the spec twice.
        """
        headers = {"Content-Type": content_type, "Idempotency-Key": key or uuid.uuid4().hex}
        params = {"preset": preset} if preset else {}
        return self._json("POST", "/experiments", content=body, headers=headers, params=params)

    def validate(self, body: bytes, content_type: str, *, preset: str | None = None) -> Json:
        """Return what a spec would ask of the cluster."""
        params = {"preset": preset} if preset else {}
        headers = {"Content-Type": content_type}
        return self._json("POST", "/experiments/validate", content=body, headers=headers, params=params)

    def presets(self) -> list[Json]:
        """Return the experiments that come with the service."""
        found: list[Json] = self._json("GET", "/presets")["presets"]
        return found

    def experiments(self, *, state: str | None = None, limit: int = 100) -> Iterator[Json]:
        """Yield every experiment, newest first, page by page."""
        params: Json = {"limit": limit} | ({"state": state} if state else {})
        while True:
            page = self._json("GET", "/experiments", params=params)
            yield from page["experiments"]
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]

    def experiment(self, experiment_id: str, *, max_chains: int | None = None) -> Json:
        """Return an experiment with its chains, page by page.

        Args:
            experiment_id: The experiment's id.
            max_chains: Read no further page once there are so many chains; None: read all pages.
        """
        experiment = page = self._json("GET", f"/experiments/{experiment_id}")
        while page.get("next_cursor") is not None and (max_chains is None or len(experiment["chains"]) < max_chains):
            page = self._json("GET", f"/experiments/{experiment_id}", params={"cursor": page["next_cursor"]})
            experiment["chains"] += page["chains"]
        return experiment

    def comparison(self, experiment_id: str) -> Json:
        """Return how its arms compare, by the chains that have succeeded so far."""
        return self._json("GET", f"/experiments/{experiment_id}/comparison")

    def cancel(self, experiment_id: str) -> Json:
        """Ask the service to end it."""
        return self._json("POST", f"/experiments/{experiment_id}/cancel")

    def pause(self, experiment_id: str) -> Json:
        """Ask the service to pause it."""
        return self._json("POST", f"/experiments/{experiment_id}/pause")

    def resume(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Ask the service to resume it; `resources` are the keys that change for its trials from now on."""
        return self._json("POST", f"/experiments/{experiment_id}/resume", **_changing(resources))

    def retry(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Ask the service to run again what failed; `resources` as for `resume`."""
        return self._json("POST", f"/experiments/{experiment_id}/retry", **_changing(resources))

    def fork(self, experiment_id: str, body: bytes, content_type: str, key: str | None = None) -> Json:
        """Post a new experiment that starts where this one ended; the body holds the changes to its spec."""
        headers = {"Content-Type": content_type, "Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/fork", content=body, headers=headers)

    def rerun_best(self, experiment_id: str, wanted: Json, key: str | None = None) -> Json:
        """Post a new experiment that measures what a search has chosen, over other seeds."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/rerun-best", json=wanted, headers=headers)

    def delete(self, experiment_id: str, what: str) -> None:
        """Ask the service to remove it, or its checkpoints."""
        self._request("DELETE", f"/experiments/{experiment_id}", params={"what": what})

    def verify(self, experiment_id: str, chain: str, stage: int) -> Json:
        """Ask the service to replay a stage."""
        return self._json("POST", f"/experiments/{experiment_id}/verify", json={"chain": chain, "stage": stage})

    def verification(self, experiment_id: str, number: int) -> Json:
        """Return the state of a replay."""
        return self._json("GET", f"/experiments/{experiment_id}/verifications/{number}")

    def logs(self, experiment_id: str, **params: str | int) -> tuple[bytes, str]:
        """Return what its driver, or one of its trials, printed, and the cursor for what follows."""
        response = self._request("GET", f"/experiments/{experiment_id}/logs", params=params)
        return response.content, response.headers["X-Next-Cursor"]

    def _json(self, method: str, path: str, **arguments: Any) -> Json:
        answer: Json = self._request(method, path, **arguments).json()
        return answer

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        for attempt in range(1, TRIES + 1):
            try:
                response = self._http.request(method, path, **arguments)
            except httpx.ConnectError as error:
                raise Unreachable(f"no API answers at {self.url} ({error}): `tet up` starts one here") from None
            except httpx.TransportError as error:
                # Each request may be sent twice: a second read or wish changes nothing, and posts have keys.
                if attempt == TRIES:
                    raise Unreachable(
                        f"the API at {self.url} does not answer: {error or type(error).__name__}"
                    ) from None
                time.sleep(0.2 * 2**attempt)
                continue
            if response.is_success:
                return response
            raise _refused(response)
        raise AssertionError("unreachable")


def as_model(model: type[Model], answer: Json) -> Model:
    """Read an answer of the API.

    Raises:
        TetError: It has another form, as that of another version of the service may have.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise TetError(
            f"the API answered in a form that this `tet` does not know ({place}: {first['msg']}): "
            "run `tet` and the service in one version"
        ) from None


def read_spec(path: Path) -> tuple[bytes, str]:
    """Return the bytes of a spec's file, and their content type.

    Raises:
        TetError: The file cannot be read.
    """
    try:
        return path.read_bytes(), CONTENT_TYPES.get(path.suffix.lower(), "application/yaml")  # JSON is YAML too
    except OSError as error:
        raise TetError(f"{path} cannot be read: {error.strerror}") from None


def _changing(resources: Json | None) -> Json:
    """Return the arguments of a request with changed resources; none where nothing changes."""
    return {"json": {"resources": resources}} if resources else {}


def _refused(response: httpx.Response) -> Refused:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    return Refused(response.status_code, problem, " ".join(response.text.split())[:200])


def _fault(error: Json) -> str:
    """Return one line for one fault of a spec: the field, what is accepted, and the value that was sent."""
    got = f" (got {error['value']!r})" if error.get("value") is not None else ""
    return f"  {error.get('field', '$')}: {error.get('detail', '')}{got}"
