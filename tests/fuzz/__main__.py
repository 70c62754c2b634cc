"""The long fuzzing: the state machine on each kind of database, then requests from the API's own description.

    python -m tests.fuzz [SEED]

The same seed takes the same steps and makes the same requests. Prints how much was done, and ends with 1 if anything
was broken, or too little was done. It ends by itself.
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
# Of the machine, on each kind of database: so many lots of examples, and no new one after so long.
NUM_LOTS = 10
MACHINE_LIMIT_S = 140
# Of the requests: so many at least, within so long.
NUM_REQUESTS = 20_000
REQUESTS_LIMIT_S = 3_600
# Of what the service says of its own errors, so many characters are shown.
MAX_LOG = 20_000


def main(arguments: list[str]) -> int:
    """Fuzz with a seed; returns the exit status."""
    number = int(arguments[0]) if arguments else 0
    with tempfile.TemporaryDirectory(prefix="tet-fuzz-") as folder:
        logging.disable(logging.CRITICAL)  # what the service says of each death it was made to see
        kept = [_machine(Path(folder, "machine"), kind, number) for kind in ("sqlite", "postgresql")]
        logging.disable(logging.NOTSET)
        kept.append(_requests(Path(folder, "requests"), number))
    told = "every promise was kept" if all(kept) else "PROMISES WERE BROKEN"
    print(f"seed {number}: {told}")
    return 0 if all(kept) else 1


def _machine(home: Path, kind: str, number: int) -> bool:
    if kind == "postgresql" and binaries() is None:
        print("the state machine on postgresql: left out, since no PostgreSQL is installed", flush=True)
        return True
    start = time.monotonic()
    with _database(home / kind, kind) as url, world(home / kind, url) as found:
        broken = ""
        for lot in range(NUM_LOTS):
            if not broken and time.monotonic() - start < MACHINE_LIMIT_S:
                broken = _lot(found, number * NUM_LOTS + lot)
    told = f"{Service.num_steps:,} steps in {time.monotonic() - start:.0f} s"
    print(f"the state machine on {kind}: {told}; {broken or 'every promise was kept'}", flush=True)
    Service.num_steps = 0
    return not broken


def _lot(found: World, number: int) -> str:
    """Runs some examples; what was broken and the steps that led there, which hypothesis adds to the error as notes."""
    try:
        run_state_machine_as_test(seed(number)(type("InThisWorld", (Service,), {"world": found})), settings=DEEP)
    except Exception as error:
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
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it warns of what is no HTTP, and some is sent on purpose
    found = requests.run(home, f"sqlite:///{home / 'tet.db'}", seed=number, limit_s=REQUESTS_LIMIT_S, **requests.DEEP)
    print(f"{found.summary}; in {time.monotonic() - start:.0f} s", flush=True)
    if not found.passed:
        print(found.report)
        print(log.read_text()[:MAX_LOG])
    if (made := found.statuses.total()) < NUM_REQUESTS:
        print(f"too few: {made:,} requests of {NUM_REQUESTS:,}")
        return False
    return found.passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
