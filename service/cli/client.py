"""The API as the command line uses it."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from service.errors import TetError

Json = dict[str, Any]

CONTENT_TYPES = {".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml"}
TRIES = 4
TIMEOUT_S = 30.0


class Unreachable(TetError):  # noqa: N818 - named for what it says
    """Nobody answers where the API should be."""


class Refused(TetError):  # noqa: N818
    """The API answered with a problem document (RFC 9457).

    Attributes:
        status: The HTTP status.
        problem: The document; empty if the answer was no problem document.
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
        """Posts a spec as it is, or changes to a preset, and returns the new experiment.

        A key is made up if none is given, so that trying again after a lost answer cannot post it twice.
        """
        headers = {"Content-Type": content_type, "Idempotency-Key": key or uuid.uuid4().hex}
        params = {"preset": preset} if preset else {}
        return self._json("POST", "/experiments", content=body, headers=headers, params=params)

    def validate(self, body: bytes, content_type: str, *, preset: str | None = None) -> Json:
        """What a spec without faults would ask for."""
        params = {"preset": preset} if preset else {}
        headers = {"Content-Type": content_type}
        return self._json("POST", "/experiments/validate", content=body, headers=headers, params=params)

    def presets(self) -> list[Json]:
        """The experiments that come with the service."""
        found: list[Json] = self._json("GET", "/presets")["presets"]
        return found

    def experiments(self, *, state: str | None = None, limit: int = 100) -> Iterator[Json]:
        """Every experiment, newest first, page by page."""
        params: Json = {"limit": limit} | ({"state": state} if state else {})
        while True:
            page = self._json("GET", "/experiments", params=params)
            yield from page["experiments"]
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]

    def experiment(self, experiment_id: str, *, max_chains: int | None = None) -> Json:
        """One experiment with all of its chains, however many pages they fill; or with the first of them.

        Args:
            experiment_id: Which.
            max_chains: Chains from which on no further page is read.
        """
        experiment = page = self._json("GET", f"/experiments/{experiment_id}")
        while page.get("next_cursor") is not None and (max_chains is None or len(experiment["chains"]) < max_chains):
            page = self._json("GET", f"/experiments/{experiment_id}", params={"cursor": page["next_cursor"]})
            experiment["chains"] += page["chains"]
        return experiment

    def comparison(self, experiment_id: str) -> Json:
        """How its arms compare, so far as they have ended."""
        return self._json("GET", f"/experiments/{experiment_id}/comparison")

    def cancel(self, experiment_id: str) -> Json:
        """Asks that it be ended."""
        return self._json("POST", f"/experiments/{experiment_id}/cancel")

    def pause(self, experiment_id: str) -> Json:
        """Asks that it be paused."""
        return self._json("POST", f"/experiments/{experiment_id}/pause")

    def resume(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Asks that it go on; `resources` is what its trials are given otherwise from now on."""
        return self._json("POST", f"/experiments/{experiment_id}/resume", **_changing(resources))

    def retry(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Asks that what failed run again; `resources` as for `resume`."""
        return self._json("POST", f"/experiments/{experiment_id}/retry", **_changing(resources))

    def fork(self, experiment_id: str, body: bytes, content_type: str, key: str | None = None) -> Json:
        """Posts a new experiment that starts where this one ended; the body holds what is different in its spec."""
        headers = {"Content-Type": content_type, "Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/fork", content=body, headers=headers)

    def rerun_best(self, experiment_id: str, wanted: Json, key: str | None = None) -> Json:
        """Posts a new experiment of what a search has chosen, over the seeds that are wanted."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/rerun-best", json=wanted, headers=headers)

    def delete(self, experiment_id: str, what: str) -> None:
        """Asks that it, or its checkpoints, be removed."""
        self._request("DELETE", f"/experiments/{experiment_id}", params={"what": what})

    def verify(self, experiment_id: str, chain: str, stage: int) -> Json:
        """Asks that a stage be replayed."""
        return self._json("POST", f"/experiments/{experiment_id}/verify", json={"chain": chain, "stage": stage})

    def verification(self, experiment_id: str, number: int) -> Json:
        """How a replay stands."""
        return self._json("GET", f"/experiments/{experiment_id}/verifications/{number}")

    def logs(self, experiment_id: str, **params: str | int) -> tuple[bytes, str]:
        """What its driver, or one of its trials, printed; and the cursor behind it."""
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
                # Every request may be sent twice: reading changes nothing, wanting twice neither, posts have keys.
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


def read_spec(path: Path) -> tuple[bytes, str]:
    """A spec's bytes as they lie in the file, and their content type.

    Raises:
        TetError: the file cannot be read.
    """
    try:
        return path.read_bytes(), CONTENT_TYPES.get(path.suffix.lower(), "application/yaml")  # JSON is YAML too
    except OSError as error:
        raise TetError(f"{path} cannot be read: {error.strerror}") from None


def _changing(resources: Json | None) -> Json:
    """A request's body, where there is something to be changed."""
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
    """One line for one fault of a spec: where it is, what is wrong, what stood there."""
    got = f" (got {error['value']!r})" if error.get("value") is not None else ""
    return f"  {error.get('field', '$')}: {error.get('detail', '')}{got}"
