"""The Ray Jobs API, by its documented REST routes: submit a job, observe it, stop it, read its logs.

A call that fails proves nothing: a job that cannot be observed is `JobStatus.UNKNOWN`, never absent.
"""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

# Ray also reads its token from this header, because a proxy may use `Authorization`; all of Ray's agents accept it.
TOKEN_HEADER = "x-ray-authorization"
TIMEOUT_S = 10.0
# Seconds after a timeout during which Ray is not asked again: otherwise a round would wait at each experiment.
PAUSE_AFTER_TIMEOUT_S = 5.0


class JobStatus(StrEnum):
    """The status of a job, as far as it is known."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"


_STATUS = {
    "PENDING": JobStatus.PENDING,
    "RUNNING": JobStatus.RUNNING,
    "STOPPED": JobStatus.ENDED,
    "SUCCEEDED": JobStatus.ENDED,
    "FAILED": JobStatus.ENDED,
}


@dataclass(frozen=True)
class Observation:
    """A job's status, with the message of Ray or of the failed call."""

    status: JobStatus
    message: str = ""


@dataclass(frozen=True)
class RayJob:
    """A job for Ray: an entry point with its arguments, under a submission id that we compute."""

    submission_id: str
    entrypoint: tuple[str, ...]
    metadata: Mapping[str, str]
    environment: Mapping[str, str]


class RayJobs:
    """The Jobs API of one cluster."""

    def __init__(self, url: str, token: Callable[[], str | None], *, timeout_s: float = TIMEOUT_S) -> None:
        """Prepare to call a cluster.

        Args:
            url: the dashboard's address.
            token: returns Ray's token; called for each request, since a restarted stack may have another one.
            timeout_s: seconds that an answer may take.
        """
        self._http = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)
        self._token = token
        self._silent_until = 0.0

    def observe(self, submission: str) -> Observation:
        """Return the status of a job."""
        try:
            response = self._request("GET", f"/api/jobs/{submission}")
            if _has_no_such_job(response):
                return Observation(JobStatus.ABSENT)
            if response.status_code != httpx.codes.OK:
                return Observation(JobStatus.UNKNOWN, _error_text(response))
            details = response.json()
            status = _STATUS.get(details["status"], JobStatus.UNKNOWN)
            return Observation(status, f"{details['status']}: {_last_line(details.get('message') or '')}")
        except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            return Observation(JobStatus.UNKNOWN, f"{type(error).__name__}: {error}")

    def submit(self, job: RayJob) -> str | None:
        """Submit a job; return the error if that failed. Only `observe` shows whether Ray has the job."""
        body = {
            "entrypoint": shlex.join(job.entrypoint),
            "submission_id": job.submission_id,
            "metadata": dict(job.metadata),
            "runtime_env": {"env_vars": dict(job.environment)},
        }
        return self._try("POST", "/api/jobs/", json=body)

    def stop(self, submission: str) -> str | None:
        """Ask Ray to stop a job; return the error if that failed."""
        return self._try("POST", f"/api/jobs/{submission}/stop")

    def logs(self, submission: str) -> str | None:
        """Return the whole output of a job; None if Ray does not return it."""
        try:
            response = self._request("GET", f"/api/jobs/{submission}/logs")
            return str(response.json()["logs"]) if response.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, ValueError, LookupError, TypeError, RecursionError):
            return None

    def session(self) -> str | None:
        """Return the name of Ray's session, which every start of Ray changes; None if Ray does not answer."""
        try:
            return str(self._request("GET", "/api/version").json()["session_name"])
        except (httpx.HTTPError, ValueError, LookupError, TypeError, RecursionError):
            return None

    def cluster_resources(self) -> list[dict[str, float]] | None:
        """Return what each living node offers (`CPU`, `GPU`); None if Ray does not answer."""
        try:
            response = self._request("GET", "/api/v0/nodes", params={"detail": "true"})
            rows = response.json()["data"]["result"]["result"]
            return [row.get("resources_total") or {} for row in rows if row["state"] == "ALIVE"]
        except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def _try(self, method: str, path: str, **arguments: Any) -> str | None:
        try:
            response = self._request(method, path, **arguments)
            return None if response.is_success else _error_text(response)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        if time.monotonic() < self._silent_until:
            raise httpx.ConnectTimeout("it did not answer a moment ago, and is not asked again yet")
        token = self._token()
        headers = {TOKEN_HEADER: f"Bearer {token}"} if token else {}
        try:
            return self._http.request(method, path, headers=headers, **arguments)
        except httpx.TimeoutException:
            self._silent_until = time.monotonic() + PAUSE_AFTER_TIMEOUT_S
            raise

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def token_from(environment: Mapping[str, str], file: Path) -> Callable[[], str | None]:
    """Return a function that reads Ray's token: from RAY_AUTH_TOKEN if it is set, else from the stack's own file."""

    def read() -> str | None:
        if environment.get("RAY_AUTH_TOKEN"):
            return environment["RAY_AUTH_TOKEN"]
        return file.read_text().strip() if file.exists() else None

    return read


def _has_no_such_job(response: httpx.Response) -> bool:
    """Return whether Ray itself says that it has no such job.

    Ray shows this only in the text of its answer. The status alone proves nothing: a proxy in front of Ray, or a
    dashboard that is still starting, answers 404 too.
    """
    return response.status_code == httpx.codes.NOT_FOUND and "does not exist" in response.text


def _error_text(response: httpx.Response) -> str:
    return f"HTTP {response.status_code}: {_last_line(response.text)}"


def _last_line(text: str) -> str:
    """Return the last line that is not empty: in a traceback or a log it has the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" ()")]
    return lines[-1][:300] if lines else ""
