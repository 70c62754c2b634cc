"""A client of the API, for the command line."""

import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from service.cli.exchange import Overlong, Received, beginning, exchange, is_earlier_api
from service.cli.forms import Form, Json, in_form, unknown_form
from service.errors import TetError
from service.identity import Identity

CONTENT_TYPES = {".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml"}
# The keys of each answer on which the commands depend.
_POSTED: Form = {"id": str}
_SHOWN: Form = {"id": str, "name": str, "chains": list}
_ACTED: Form = {"id": str, "state": str}
_RETRIED: Form = {"id": str, "state": str, "generation": int}
_PRESET: Form = {"name": str, "reproduces": str, "arms": list, "num_trials": int, "needs": str}
# Tries of one request before the API counts as unreachable.
TRIES = 4
# Seconds between two parts of an answer.
TIMEOUT_S = 30.0
# Largest number of seconds to wait before the next try, even if a busy API asks for more.
MAX_WAIT_S = 10.0
# Seconds until the whole answer.
WITHIN_S = 60.0
REMEDY = (
    "set TET_API_PORT (and TET_API_HOST) to the address of the API, or end that program and start the API with `tet up`"
)


class Unreachable(TetError):  # noqa: N818 - the name says what is wrong
    """The error of an API that does not answer at its address."""


class Stranger(TetError):  # noqa: N818
    """The error of another program that answers at the API's address."""


class Refused(TetError):  # noqa: N818
    """The error of an API that answered with a problem document (RFC 9457).

    Attributes:
        status: The HTTP status.
        problem: The document; empty if the answer is not a problem document.
    """

    def __init__(self, status: int, problem: Json, fallback: str) -> None:
        self.status = status
        self.problem = problem
        heading = str(problem.get("detail") or problem.get("title") or fallback or "no reason given")
        errors = problem.get("errors")
        faults = [_fault(error) for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        super().__init__("\n".join([f"{heading} (HTTP {status})", *faults]))


class Client:
    """One connection to the API; use it as a context manager."""

    def __init__(self, url: str, *, within_s: float = WITHIN_S) -> None:
        """Prepare to call the API at `url`; each answer must be complete within `within_s` seconds."""
        self.url = url
        self._within_s = within_s
        self._http = httpx.Client(base_url=url, timeout=min(TIMEOUT_S, within_s), trust_env=False)
        self._is_earlier = False

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
        return self._json("POST", "/experiments", _POSTED, content=body, headers=headers, params=params)

    def validate(self, body: bytes, content_type: str, *, preset: str | None = None) -> Json:
        """Return the number of trials of a spec, and whether they fit on the cluster."""
        params = {"preset": preset} if preset else {}
        headers = {"Content-Type": content_type}
        return self._json("POST", "/experiments/validate", {}, content=body, headers=headers, params=params)

    def presets(self) -> list[Json]:
        """Return the experiments that come with the service."""
        listed: list[Json] = self._json("GET", "/presets", {"presets": list})["presets"]
        return [in_form(row, _PRESET, "GET /presets") for row in listed]

    def experiments(self, *, state: str | None = None, limit: int = 100) -> Iterator[Json]:
        """Yield every experiment, newest first, page by page."""
        params: Json = {"limit": limit} | ({"state": state} if state else {})
        while True:
            page = self._json("GET", "/experiments", {"experiments": list}, params=params)
            yield from page["experiments"]
            if not page.get("next_cursor"):
                return
            params["cursor"] = _next(page, params)

    def experiment(self, experiment_id: str, *, max_chains: int | None = None) -> Json:
        """Return an experiment with its chains, which are read page by page.

        Args:
            experiment_id: The experiment's id.
            max_chains: Number of chains after which no further page is read; None: read all pages.
        """
        params: Json = {}
        experiment = page = self._json("GET", f"/experiments/{experiment_id}", _SHOWN)
        while page.get("next_cursor") is not None and (max_chains is None or len(experiment["chains"]) < max_chains):
            params["cursor"] = _next(page, params)
            page = self._json("GET", f"/experiments/{experiment_id}", _SHOWN, params=params)
            experiment["chains"] += page["chains"]
        return experiment

    def comparison(self, experiment_id: str, quantity: str = "test/accuracy", baseline: str | None = None) -> Json:
        """Return how the arms of an experiment compare, by the chains that have succeeded so far.

        Args:
            experiment_id: The experiment's id.
            quantity: What is compared.
            baseline: The arm that every other arm is compared with; None: the pairs of the spec.
        """
        params = {"quantity": quantity} | ({} if baseline is None else {"baseline": baseline})
        return self._json("GET", f"/experiments/{experiment_id}/comparison", {}, params=params)

    def report(self, experiment_id: str, form: str) -> bytes:
        """Return the report of an experiment in one of its forms."""
        return self._request("GET", f"/experiments/{experiment_id}/report", params={"format": form}).content

    def report_view(self, experiment_id: str) -> Json:
        """Return the report of an experiment for programs."""
        return self._json("GET", f"/experiments/{experiment_id}/report", {}, params={"format": "json"})

    def figure(self, experiment_id: str, name: str, form: str) -> bytes:
        """Return a figure of an experiment in one of its forms."""
        return self._request("GET", f"/experiments/{experiment_id}/figures/{name}", params={"format": form}).content

    def cancel(self, experiment_id: str) -> Json:
        """Ask the service to cancel an experiment."""
        return self._json("POST", f"/experiments/{experiment_id}/cancel", _ACTED)

    def pause(self, experiment_id: str) -> Json:
        """Ask the service to pause an experiment."""
        return self._json("POST", f"/experiments/{experiment_id}/pause", _ACTED)

    def resume(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Ask the service to resume an experiment; `resources` has those keys of its `resources` that change."""
        return self._json("POST", f"/experiments/{experiment_id}/resume", _ACTED, **_changing(resources))

    def retry(self, experiment_id: str, resources: Json | None = None) -> Json:
        """Ask the service to retry an experiment; `resources` as for `resume`."""
        return self._json("POST", f"/experiments/{experiment_id}/retry", _RETRIED, **_changing(resources))

    def fork(self, experiment_id: str, body: bytes, content_type: str, key: str | None = None) -> Json:
        """Post a new experiment that starts where another one ended; the body holds the changes to the spec."""
        headers = {"Content-Type": content_type, "Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/fork", _POSTED, content=body, headers=headers)

    def rerun_best(self, experiment_id: str, wanted: Json, key: str | None = None) -> Json:
        """Post a new experiment that measures a search's best configurations over other seeds."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", f"/experiments/{experiment_id}/rerun-best", _POSTED, json=wanted, headers=headers)

    def delete(self, experiment_id: str, what: str) -> None:
        """Ask the service to remove an experiment, or its checkpoints."""
        self._request("DELETE", f"/experiments/{experiment_id}", params={"what": what})

    def verify(self, experiment_id: str, chain: str, stage: int) -> Json:
        """Ask the service to replay a stage."""
        return self._json("POST", f"/experiments/{experiment_id}/verify", {}, json={"chain": chain, "stage": stage})

    def verification(self, experiment_id: str, number: int) -> Json:
        """Return the state of a replay."""
        return self._json("GET", f"/experiments/{experiment_id}/verifications/{number}", {})

    def logs(self, experiment_id: str, **params: str | int) -> tuple[bytes, str]:
        """Return a log of the driver or of a trial, and the cursor for the bytes that follow."""
        received = self._request("GET", f"/experiments/{experiment_id}/logs", params=params)
        if "X-Next-Cursor" not in received.headers:
            raise unknown_form("GET /logs: the header X-Next-Cursor is missing")
        return received.content, received.headers["X-Next-Cursor"]

    def _json(self, method: str, path: str, form: Form, **arguments: Any) -> Json:
        received = self._request(method, path, **arguments)
        try:
            answer = received.json()
        except ValueError:
            raise unknown_form(f"{method} {path}: not JSON, beginning {beginning(received.content)}") from None
        return in_form(answer, form, f"{method} {path}")

    def _request(self, method: str, path: str, **arguments: Any) -> Received:
        received = self._received(method, path, arguments)
        if Identity.from_headers(received.headers) is None and not self._is_earlier:
            self._is_earlier = is_earlier_api(self._http, self.url, within_s=self._within_s)
            if not self._is_earlier:
                answer = f"{method} {path} gave {received}"
                raise Stranger(f"another program answers at {self.url}, not this service's API: {answer}; {REMEDY}")
        if received.is_success:
            return received
        raise _refused(received)

    def _received(self, method: str, path: str, arguments: Json) -> Received:
        for attempt in range(1, TRIES + 1):
            try:
                received = exchange(self._http, method, path, within_s=self._within_s, **arguments)
            except httpx.ConnectError as error:
                raise Unreachable(f"no API answers at {self.url} ({error}): `tet up` starts one here") from None
            except (Overlong, httpx.DecodingError) as error:
                raise Stranger(f"the program at {self.url} is no API: {error}; {REMEDY}") from None
            except httpx.HTTPError as error:
                # Each request may be sent twice: a second one changes nothing, and posts have keys.
                if attempt == TRIES:
                    raise self._silence(error) from None
                time.sleep(0.2 * 2**attempt)
                continue
            if received.status != HTTPStatus.TOO_MANY_REQUESTS or attempt == TRIES:
                return received
            time.sleep(_retry_after_s(received))
        raise AssertionError("unreachable")

    def _silence(self, error: httpx.HTTPError) -> TetError:
        reason = beginning(str(error).encode(errors="backslashreplace")) if str(error) else type(error).__name__
        if isinstance(error, httpx.RemoteProtocolError):
            return Unreachable(f"the program at {self.url} does not speak HTTP, or ended early: {reason}; {REMEDY}")
        return Unreachable(f"the API at {self.url} does not answer: {reason}")


def _retry_after_s(received: Received) -> float:
    """Return how long the API asks to wait, within limits."""
    wanted = received.headers.get("Retry-After", "")
    return min(float(wanted), MAX_WAIT_S) if wanted.isdecimal() else 1.0


def _next(page: Json, params: Json) -> Any:
    """Return the cursor of the next page; fail if it does not move, because it would be followed forever."""
    cursor = page["next_cursor"]
    if cursor == params.get("cursor"):
        raise unknown_form(f"next_cursor: {beginning(str(cursor).encode())} follows itself")
    return cursor


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


def _refused(received: Received) -> Refused:
    try:
        problem = received.json()
    except ValueError:
        problem = {}
    return Refused(received.status, problem if isinstance(problem, dict) else {}, str(received))


def _fault(error: Json) -> str:
    """Return one line for one fault of a spec: the field, what is accepted, and the value that was sent."""
    got = f" (got {error['value']!r})" if error.get("value") is not None else ""
    return f"  {error.get('field', '$')}: {error.get('detail', '')}{got}"
