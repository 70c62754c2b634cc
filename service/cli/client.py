"""A client of the API, for the command line."""

import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from service.errors import TetError

# An answer of the API as received, for `--json`. Code that depends on an answer reads it with `as_model` first.
Json = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)

CONTENT_TYPES = {".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml"}
# Tries of one request before the API counts as unreachable.
TRIES = 4
TIMEOUT_S = 30.0
# Largest number of seconds to wait before the next try, whatever a busy API asks for.
MAX_WAIT_S = 10.0


class Unreachable(TetError):  # noqa: N818 - named for what it says
    """The error of an API that does not answer at its address."""


class Refused(TetError):  # noqa: N818
    """The error of an API that answered with a problem document (RFC 9457).

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

        Without a key, make one, so that a second try after a lost answer cannot post the spec twice.
        """
        headers = {"Content-Type": content_type, "Idempotency-Key": key or uuid.uuid4().hex}
        params = {"preset": preset} if preset else {}
        return self._json("POST", "/experiments", content=body, headers=headers, params=params)

    def validate(self, body: bytes, content_type: str, *, preset: str | None = None) -> Json:
        """Return the number of trials of a spec, and whether they fit on the cluster."""
        params = {"preset": preset} if preset else {}
        headers = {"Content-Type": content_type}
        return self._json("POST", "/experiments/validate", content=body, headers=headers, params=params)

    def presets(self) -> list[Json]:
        """Return the experiments that come with the service."""
        listed: list[Json] = self._json("GET", "/presets")["presets"]
        return listed

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
            max_chains: Number of chains after which no further page is read; None: read all pages.
        """
        experiment = page = self._json("GET", f"/experiments/{experiment_id}")
        while page.get("next_cursor") is not None and (max_chains is None or len(experiment["chains"]) < max_chains):
            page = self._json("GET", f"/experiments/{experiment_id}", params={"cursor": page["next_cursor"]})
            experiment["chains"] += page["chains"]
        return experiment

    def comparison(self, experiment_id: str) -> Json:
        """Return how the arms of an experiment compare, by the chains that have succeeded so far."""
        return self._json("GET", f"/experiments/{experiment_id}/comparison")

    def cancel(self, experiment_id: str) -> Json:
        """Ask the service to cancel an experiment."""
        return self._json("POST", f"/experiments/{experiment_id}/cancel")

    def pause(self, experiment_id: str) -> Json:
        """Ask the service to pause an experiment."""
        return self._json("POST", f"/experiments/{experiment_id}/pause")

    def resume(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Ask the service to resume an experiment; `resources` are the keys that change for its trials."""
        return self._json("POST", f"/experiments/{experiment_id}/resume", **_changing(resources))

    def retry(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Ask the service to retry an experiment; `resources` as for `resume`."""
        return self._json("POST", f"/experiments/{experiment_id}/retry", **_changing(resources))

    def fork(self, experiment_id: str, body: bytes, content_type: str, key: str | None = None) -> Json:
        """Post a new experiment that starts where another one ended; the body holds the changes to the spec."""
        headers = {"Content-Type": content_type, "Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/fork", content=body, headers=headers)

    def rerun_best(self, experiment_id: str, wanted: Json, key: str | None = None) -> Json:
        """Post a new experiment that measures a search's best configurations over other seeds."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/rerun-best", json=wanted, headers=headers)

    def delete(self, experiment_id: str, what: str) -> None:
        """Ask the service to remove an experiment, or its checkpoints."""
        self._request("DELETE", f"/experiments/{experiment_id}", params={"what": what})

    def verify(self, experiment_id: str, chain: str, stage: int) -> Json:
        """Ask the service to replay a stage."""
        return self._json("POST", f"/experiments/{experiment_id}/verify", json={"chain": chain, "stage": stage})

    def verification(self, experiment_id: str, number: int) -> Json:
        """Return the state of a replay."""
        return self._json("GET", f"/experiments/{experiment_id}/verifications/{number}")

    def logs(self, experiment_id: str, **params: str | int) -> tuple[bytes, str]:
        """Return a log of the driver or of a trial, and the cursor for the bytes that follow."""
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
                # Each request may be sent twice: a second one changes nothing, and posts have keys.
                if attempt == TRIES:
                    raise Unreachable(
                        f"the API at {self.url} does not answer: {error or type(error).__name__}"
                    ) from None
                time.sleep(0.2 * 2**attempt)
                continue
            if response.is_success:
                return response
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and attempt < TRIES:
                time.sleep(_retry_after_s(response))
                continue
            raise _refused(response)
        raise AssertionError("unreachable")


def _retry_after_s(response: httpx.Response) -> float:
    """Return how long the API asks to wait, within limits."""
    wanted = response.headers.get("Retry-After", "")
    return min(float(wanted), MAX_WAIT_S) if wanted.isdecimal() else 1.0


def as_model(model: type[Model], answer: Json) -> Model:
    """Return an answer of the API as a model.

    Raises:
        TetError: The answer has another form, for example because the service has another version.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise TetError(
            f"the API answered in a form that this `tet` does not know ({place}: {first['msg']}): "
            "install the same version of `tet` and of the service"
        ) from None


def read_spec(path: Path) -> tuple[bytes, str]:
    """Return the bytes of a spec's file, and its content type.

    Raises:
        TetError: The file cannot be read.
    """
    try:
        return path.read_bytes(), CONTENT_TYPES.get(path.suffix.lower(), "application/yaml")  # JSON is YAML too
    except OSError as error:
        raise TetError(f"{path} cannot be read: {error.strerror}") from None


def _changing(resources: Json | None) -> Json:
    """Return the arguments of a request with changed resources; an empty dict if nothing changes."""
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
