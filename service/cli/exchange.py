"""One request to an HTTP server that may be any program: its answer is limited in time and size, and can be described.

A program that listens on the port of a component may answer with anything: a page, a redirect, bytes without an end, or
a byte every few seconds. So a request runs in a thread, and its caller waits only until a deadline.
"""

import codecs
import json
import queue
import threading
from dataclasses import dataclass
from typing import Any

import httpx

# Bytes of the largest answer that is read. A page of 1,000 chains has some megabytes, and a log is read in parts.
MAX_BYTES = 256 * 1024**2
# Characters of an answer that an error shows.
SHOWN = 80
# The title in the API's OpenAPI description. Earlier versions of the API state no identity: this title identifies them.
API_TITLE = "TET experiments"


class Overlong(httpx.TransportError):
    """The error of an answer that did not end in time, or is too large."""


@dataclass(frozen=True)
class Received:
    """A complete answer."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status means success."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return the content, read as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def __str__(self) -> str:
        """Describe the answer in a way that is safe to print: status, content type, and first characters."""
        kind = self.headers.get("content-type", "")
        parts = [f"status {self.status}", f"content type {beginning(kind.encode())}" if kind else "no content type"]
        if "location" in self.headers:
            parts.append(f"a redirect to {beginning(self.headers['location'].encode())}")
        parts.append(f"beginning {beginning(self.content)}" if self.content else "no content")
        return ", ".join(parts)


def exchange(http: httpx.Client, method: str, url: str, *, within_s: float, **arguments: Any) -> Received:
    """Send a request, and return the complete answer.

    Args:
        http: The client to use.
        method: The HTTP method.
        url: The URL, or a path below the client's own.
        within_s: Seconds until the answer must be complete.
        **arguments: As for `httpx.Client.request`.

    Raises:
        httpx.HTTPError: There is no answer, or it is not HTTP, does not end in time, or is too large.
    """
    results: queue.SimpleQueue[Received | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            results.put(_receive(http, method, url, arguments))
        except Exception as error:  # raised again below
            results.put(error)

    threading.Thread(target=work, name="exchange", daemon=True).start()
    try:
        result = results.get(timeout=within_s)
    except queue.Empty:
        raise Overlong(f"its answer is not complete after {within_s:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def _receive(http: httpx.Client, method: str, url: str, arguments: dict[str, Any]) -> Received:
    content = bytearray()
    with http.stream(method, url, **arguments) as response:
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_BYTES:
                raise Overlong(f"its answer has more than {MAX_BYTES:,} bytes")
    return Received(response.status_code, response.headers, bytes(content))


def beginning(content: bytes) -> str:
    """Return the first characters of some content as a quoted text, in which control characters are escaped."""
    part = content[: 4 * SHOWN]
    try:
        text = " ".join(codecs.getincrementaldecoder("utf-8")().decode(part).split())
    except UnicodeDecodeError:
        return repr(content[:SHOWN]) + ("…" if len(content) > SHOWN else "")
    more = len(text) > SHOWN or len(content) > len(part)
    return repr(text[:SHOWN]) + ("…" if more else "")


def is_earlier_api(http: httpx.Client, url: str, *, within_s: float) -> bool:
    """Return whether a server that states no identity is an earlier version of the API: ask for its description."""
    try:
        described = exchange(http, "GET", f"{url}/openapi.json", within_s=within_s).json()
    except (httpx.HTTPError, ValueError):
        return False
    info = described.get("info") if isinstance(described, dict) else None
    return isinstance(info, dict) and info.get("title") == API_TITLE
