"""The long fuzzing: the state machine on each kind of database, then requests made from the API's description.

    python -m tests.fuzz [SEED]

The same seed draws the same steps and requests, but time limits may end a part earlier on a slower machine. It prints
the number of steps and requests. The exit status is 1 if a promise was broken or fewer than 20,000 requests were made;
the number of steps is not checked. Without PostgreSQL, its part is left out, and the last line says so.
"""

import logging
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz import requests
from tests.fuzz.machine import Service
from tests.fuzz.world import World, world
from tests.postgres import Server, binaries

DEEP = settings(
    max_examples=10,
    stateful_step_count=50,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
# The number of batches of the machine's examples, on each kind of database.
NUM_BATCHES = 10
# The time, in s, after which no new batch starts.
MACHINE_LIMIT_S = 140
# The lowest number of requests.
NUM_REQUESTS = 20_000
# The time, in s, after which no more requests are made.
REQUESTS_LIMIT_S = 3_600
# The number of characters of the service's log that are shown.
MAX_LOG = 20_000


def main(arguments: list[str]) -> int:
    """Fuzz with a seed and return the exit status."""
    number = int(arguments[0]) if arguments else 0
    with tempfile.TemporaryDirectory(prefix="tet-fuzz-") as folder:
        logging.disable(logging.CRITICAL)  # the service logs every failure that the machine causes
        kinds = ("sqlite", "postgresql") if binaries() is not None else ("sqlite",)
        results = [_machine(Path(folder, "machine"), kind, number) for kind in kinds]
        logging.disable(logging.NOTSET)
        results.append(_requests(Path(folder, "requests"), number))
    summary = "every promise was kept" if all(results) else "PROMISES WERE BROKEN"
    left_out = "" if "postgresql" in kinds else "; not tested on postgresql, which is not installed"
    print(f"seed {number}: {summary}{left_out}")
    return 0 if all(results) else 1


def _machine(home: Path, kind: str, number: int) -> bool:
    start = time.monotonic()
    with _database(home / kind, kind) as url, world(home / kind, url) as new_world:
        broken = ""
        for batch in range(NUM_BATCHES):
            if not broken and time.monotonic() - start < MACHINE_LIMIT_S:
                broken = _run_batch(new_world, number * NUM_BATCHES + batch)
    steps = f"{Service.num_steps:,} steps in {time.monotonic() - start:.0f} s"
    print(f"the state machine on {kind}: {steps}; {broken or 'every promise was kept'}", flush=True)
    Service.num_steps = 0
    return not broken


def _run_batch(new_world: World, number: int) -> str:
    """Run a batch of examples; return the broken promise and the steps that led to it, or an empty text."""
    try:
        run_state_machine_as_test(seed(number)(type("InThisWorld", (Service,), {"world": new_world})), settings=DEEP)
    except Exception as error:  # hypothesis has added the steps as notes
        return "\n".join([f"BROKEN: {type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return ""


@contextmanager
def _database(home: Path, kind: str) -> Iterator[str]:
    home.mkdir(parents=True)
    if kind == "sqlite":
        yield f"sqlite:///{home / 'tet.db'}"
        return
    server = Server.start()
    try:
        with server.database(f"fuzz_{secrets.token_hex(8)}") as url:
            yield url
    finally:
        server.stop()


def _requests(home: Path, number: int) -> bool:
    start, log = time.monotonic(), home / "service.log"
    home.mkdir(parents=True)
    logging.basicConfig(filename=log, level=logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it warns of malformed requests, which are sent on purpose
    result = requests.run(home, f"sqlite:///{home / 'tet.db'}", seed=number, limit_s=REQUESTS_LIMIT_S, **requests.DEEP)
    print(f"{result.summary}; in {time.monotonic() - start:.0f} s", flush=True)
    if not result.passed:
        print(result.report)
        print(log.read_text()[:MAX_LOG])
    if (num_made := result.statuses.total()) < NUM_REQUESTS:
        print(f"too few: {num_made:,} requests of {NUM_REQUESTS:,}")
        return False
    return result.passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
