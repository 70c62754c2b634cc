"""A source of requests at a fixed rate, whether or not earlier requests are answered; a separate process.

    python -m benchmarks.service.api.load --port 8000 --rate 50 --requests FILE --answers FILE

A latency counts from the time at which a request was due, so the wait after a late answer counts too. HTTP is written
by hand: a client library would take longer than some of the answers.
"""

import argparse
import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

TIMEOUT_S = 30.0
# Uvicorn closes a connection after 5 s without a request.
MAX_IDLE_S = 2.0


@dataclass
class Client:
    """A client that keeps its connections, as many as are needed at the same time."""

    port: int
    idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: str) -> tuple[int, int]:
        """Send a request; return the status and the length of the answer in bytes."""
        reader, writer = await self._connection()
        data = body.encode()
        head = f"{method} {quote(path, safe='/?=&')} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        kind = "Content-Type: application/json\r\n" if body else ""
        writer.write(f"{head}{kind}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        length = int(headers["content-length"])
        await reader.readexactly(length)
        self.idle.append((time.monotonic(), reader, writer))
        return int(lines[0].split()[1]), length

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the connection used last, or a new one: the server may be closing one that was idle for long."""
        while self.idle:
            used_at, reader, writer = self.idle.pop()
            if time.monotonic() - used_at < MAX_IDLE_S:
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)


async def load(port: int, rate: float, requests: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Send each request when it is due; return the answers, each with its latency in s."""
    client, answers = Client(port), []
    start_time = time.monotonic() + 1.0

    async def one(number: int, request: dict[str, str]) -> None:
        due = start_time + number / rate
        await asyncio.sleep(due - time.monotonic())
        late = time.monotonic() - due
        status, num_bytes = 0, 0
        with suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(TIMEOUT_S):
                status, num_bytes = await client.ask(request["method"], request["path"], request["body"])
        latency = time.monotonic() - due
        answers.append(
            {
                "name": request["name"],
                "status": status,
                "latency_s": latency,
                "late_s": late,
                "bytes": num_bytes,
                "number": number,
            }
        )

    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            group.create_task(one(number, request))
    return answers


def main() -> int:
    """Send the requests of a file, one JSON object on each line, and write the answers to another file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--answers", type=Path, required=True)
    arguments = parser.parse_args()
    requests = [json.loads(line) for line in arguments.requests.read_text().splitlines()]
    answers = asyncio.run(load(arguments.port, arguments.rate, requests))
    arguments.answers.write_text(json.dumps(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
