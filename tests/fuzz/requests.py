"""Requests of all kinds, good and bad, made by schemathesis from the API's own description, against a served API.

A process of its own makes them; meanwhile what was changed is put back from time to time, as other users would.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from service.store.database import Database
from tests.fuzz.stock import Stock, write_names
from tests.integration.api.conftest import served, settings_for
from tests.root import ROOT

RESTORE_EVERY_S = 1.0
# A spec has rules that no JSON schema can tell, so one that fits the schema may be refused all the same.
CONFIG = """\
[[operations]]
include-path-regex = "^/experiments(/validate|/[{{]experiment_id[}}]/(fork|rerun-best|resume|retry))?$"
include-method = "POST"
generation.max-examples = {spec_examples}
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "415", "422"]
"""


class Depth(TypedDict):
    """How many requests are made."""

    phases: str
    examples: int
    spec_examples: int


QUICK: Depth = {"phases": "examples,fuzzing", "examples": 18, "spec_examples": 8}
# For each operation. Some have fewer different requests; the sequences of several requests come on top.
DEEP: Depth = {"phases": "examples,fuzzing,stateful", "examples": 2200, "spec_examples": 600}


@dataclass(frozen=True)
class Requested:
    """How it went: schemathesis's own report, and how many answers there were of each status."""

    passed: bool
    report: str
    statuses: Counter[str]

    @property
    def summary(self) -> str:
        """The number of requests by class of status, in words."""
        classes = Counter({f"{status[0]}xx" if status[0].isdigit() else status: 0 for status in self.statuses})
        for status, count in self.statuses.items():
            classes[f"{status[0]}xx" if status[0].isdigit() else status] += count
        told = ", ".join(f"{classes[each]:,} {each}" for each in sorted(classes))
        bad = [status for status in self.statuses if not status.isdigit() or int(status) >= 500]
        return f"{self.statuses.total():,} requests: {told}; " + (f"BROKEN: {bad}" if bad else "no 5xx")


def run(
    home: Path, database_url: str, *, seed: int, limit_s: float, phases: str, examples: int, spec_examples: int
) -> Requested:
    """Serve the API over a stocked database, and let schemathesis loose on it.

    Args:
        home: Where the service keeps its state.
        database_url: Its database, empty.
        seed: The same one makes the same requests.
        limit_s: After this time it ends with what was found until then.
        phases: Schemathesis's phases, separated by commas.
        examples: Requests of each operation in the phase of fuzzing.
        spec_examples: The same of those that take a spec, which is slow to draw.
    """
    settings = settings_for(home, database_url)
    with served(settings) as http:
        database = Database(database_url)
        stock = Stock(database, settings)
        names, counts, config = home / "names.json", home / "counts.json", home / "schemathesis.toml"
        write_names(stock.names, names)
        config.write_text(CONFIG.format(spec_examples=spec_examples))
        command: list[str | Path] = [
            Path(sys.executable).with_name("schemathesis"),
            "--config-file",
            config,
            "run",
            f"{http.base_url}/openapi.json",
            "--checks",
            "all",
            "--seed",
            str(seed),
            "--phases",
            phases,
            "--max-examples",
            str(examples),
            "--generation-database",
            "none",
            "--no-color",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--continue-on-failure",
            "--request-timeout",
            "30",
        ]
        environment = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            "FUZZ_NAMES": str(names),
            "FUZZ_COUNTS": str(counts),
            "PYTHONPATH": str(ROOT),
        }
        try:
            with _restoring(stock):
                status, report = _output(command, environment, home, limit_s)
        finally:
            database.dispose()
    return Requested(status == 0, report, Counter(json.loads(counts.read_text())))


def _output(command: list[str | Path], environment: dict[str, str], home: Path, limit_s: float) -> tuple[int, str]:
    """The exit status of a command and what it printed; after the limit it is asked to end, and tells what it has."""
    report = home / "report.txt"
    with report.open("w") as file:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=file, stderr=subprocess.STDOUT)
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            status = 1 if " FAILURES " in report.read_text() else 0
    return status, report.read_text()


@contextmanager
def _restoring(stock: Stock) -> Iterator[None]:
    over = threading.Event()

    def work() -> None:
        while not over.wait(RESTORE_EVERY_S):
            stock.restore()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
