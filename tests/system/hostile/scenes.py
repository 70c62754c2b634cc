"""The scenes: what is sent together, and what is held open in the meantime."""

import random
import threading
import time
from collections.abc import Callable, Iterator

from tests.system.hostile import documents
from tests.system.hostile.requests import (
    JSON_TYPE,
    YAML_TYPE,
    HostileRequest,
    plans,
    posted,
    refused_texts_and_urls,
    variants,
)
from tests.system.hostile.sending import Outcome, Target, at_rate, held_open, leave_early, send, slow_readers, together

# How many variants, texts and addresses are sent in a second.
PER_SECOND = 8.0
NUM_BODIES, NUM_YAML, NUM_STREAMS, NUM_HEADS, NUM_HALVES, NUM_SLOW, NUM_LEAVERS = 40, 45, 200, 1_100, 50, 20, 20
YAML_BYTES = 300_000
# Seconds for which connections are held open while ordinary requests are sent.
HELD_S = 8.0

LIST = HostileRequest("GET /experiments", "GET", "/experiments")
HEALTH = HostileRequest("GET /healthz", "GET", "/healthz")


class Scenes:
    """The scenes, in their order. Each sends requests and returns the outcomes."""

    def __init__(self, target: Target, running_id: str, seed: int) -> None:
        self._target, self._running_id, self._seed = target, running_id, seed

    def all(self) -> Iterator[tuple[str, Callable[[], list[Outcome]]]]:
        """Yield each scene with its name."""
        yield "plans, one after the other", self._plans
        yield "a small post beside one of 400,000 stages", self._small_beside_large
        yield "clients that leave in the middle", self._leavers
        yield f"{NUM_BODIES} bodies of 1 MB at once", self._bodies
        yield f"{NUM_YAML} YAML bodies at once beside GET /experiments", self._yaml
        yield f"{NUM_STREAMS} idle event streams", self._streams
        yield f"{NUM_HEADS:,} half-sent headers", self._heads
        yield f"{NUM_HALVES} half-sent bodies", self._halves
        yield f"{NUM_SLOW} slow readers", self._slow_readers
        yield f"texts and addresses, {PER_SECOND:g} a second", self._texts
        yield f"variants of seed {self._seed}, {PER_SECOND:g} a second", self._variants

    def _plans(self) -> list[Outcome]:
        return [self._stored(request) for request in plans()]

    def _small_beside_large(self) -> list[Outcome]:
        large = posted("400,000 stages", documents.staged(40, 100, 100))
        found: list[Outcome] = []
        thread = threading.Thread(target=lambda: found.append(self._stored(large)), daemon=True)
        thread.start()
        time.sleep(0.5)  # the large one is being read
        small = self._stored(posted("a small post beside 400,000 stages", documents.spec()))
        thread.join(60)
        return [small, *found]

    def _stored(self, request: HostileRequest) -> Outcome:
        """Send a post; if it was stored, cancel it, so that it never runs."""
        outcome = send(self._target, request)
        if outcome.status == 202 and request.path == "/experiments":
            # Only the beginning of a long answer is kept, but it has the id.
            experiment_id = outcome.body.split(b'"id":"', 1)[-1][:20].decode("ascii", "replace")
            path = f"/experiments/{experiment_id}/cancel"
            send(self._target, HostileRequest(f"cancel {request.words}", "POST", path))
        return outcome

    def _leavers(self) -> list[Outcome]:
        draw = random.Random(self._seed)
        request = posted("", documents.staged(20, 100, 100))
        check = HostileRequest("", "POST", "/experiments/validate", request.body, JSON_TYPE)
        threads = [
            threading.Thread(target=leave_early, args=(self._target, check, draw.uniform(0, 1.0)), daemon=True)
            for _ in range(NUM_LEAVERS)
        ]
        for thread in threads:
            thread.start()
        return self._ordinary()

    def _bodies(self) -> list[Outcome]:
        return together(
            self._target,
            [
                HostileRequest(
                    f"1 MB, kind {number % 4}", "POST", "/experiments/validate", documents.large_json(number), JSON_TYPE
                )
                for number in range(NUM_BODIES)
            ],
        )

    def _yaml(self) -> list[Outcome]:
        body = documents.large_yaml(YAML_BYTES)
        yaml = HostileRequest("YAML of 300 kB", "POST", "/experiments/validate", body, YAML_TYPE)
        return together(self._target, [*[yaml] * NUM_YAML, *[LIST] * 5])

    def _streams(self) -> list[Outcome]:
        head = f"GET /experiments/{self._running_id}/events HTTP/1.1\r\nHost: {self._target.host}\r\n\r\n"
        with held_open(self._target, NUM_STREAMS, head.encode()):
            return self._ordinary()

    def _heads(self) -> list[Outcome]:
        with held_open(self._target, NUM_HEADS, b"POST /experiments HTTP/1.1\r\nHost: x\r\nX-Half"):
            return self._ordinary()

    def _halves(self) -> list[Outcome]:
        head = f"POST /experiments HTTP/1.1\r\nHost: {self._target.host}\r\nContent-Type: application/json\r\n"
        with held_open(self._target, NUM_HALVES, f"{head}Content-Length: 900000\r\n\r\n{{".encode() + b" " * 1_000):
            return self._ordinary()

    def _slow_readers(self) -> list[Outcome]:
        with slow_readers(self._target, NUM_SLOW, f"/experiments/{self._running_id}"):
            return self._ordinary()

    def _texts(self) -> list[Outcome]:
        return at_rate(self._target, refused_texts_and_urls(), PER_SECOND)

    def _variants(self) -> list[Outcome]:
        return at_rate(self._target, variants(self._seed), PER_SECOND)

    def _ordinary(self) -> list[Outcome]:
        """Send ordinary requests for some seconds."""
        return at_rate(self._target, [LIST, HEALTH] * int(HELD_S), 2.0)
