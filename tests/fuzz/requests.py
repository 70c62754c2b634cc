"""Valid and invalid requests, which schemathesis makes from the API's description and sends to a served API.

Schemathesis runs in a process of its own. Meanwhile a thread restores the changed experiments once a second.
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

# The time, in s, between two restorations of the experiments.
RESTORE_EVERY_S = 1.0
# A spec has rules that a JSON schema cannot express, so a spec that fits the schema may still be refused. Nor can a
# description say that the parameter `stage` of logs needs the parameter `chain`.
CONFIG = """\
[[operations]]
include-path-regex = "^/experiments(/validate|/[{{]experiment_id[}}]/(fork|rerun-best|resume|retry))?$"
include-method = "POST"
generation.max-examples = {spec_examples}
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "415", "422"]

[[operations]]
include-path-regex = "^/experiments/[{{]experiment_id[}}]/logs$"
include-method = "GET"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422", "429"]
"""


class Depth(TypedDict):
    """The phases and the number of requests."""

    phases: str
    examples: int
    spec_examples: int


# The numbers of requests are for each operation. Some operations have fewer different requests; the stateful phase adds
# sequences of requests.
QUICK: Depth = {"phases": "examples,fuzzing", "examples": 18, "spec_examples": 8}
DEEP: Depth = {"phases": "examples,fuzzing,stateful", "examples": 2200, "spec_examples": 600}


@dataclass(frozen=True)
class Requested:
    """The result: schemathesis's report, and the number of answers with each status."""

    passed: bool
    report: str
    statuses: Counter[str]

    @property
    def summary(self) -> str:
        """The number of requests, by class of status, as a text."""
        classes = Counter({f"{status[0]}xx" if status[0].isdigit() else status: 0 for status in self.statuses})
        for status, count in self.statuses.items():
            classes[f"{status[0]}xx" if status[0].isdigit() else status] += count
        counts = ", ".join(f"{classes[each]:,} {each}" for each in sorted(classes))
        bad = [status for status in self.statuses if not status.isdigit() or int(status) >= 500]
        return f"{self.statuses.total():,} requests: {counts}; " + (f"BROKEN: {bad}" if bad else "no 5xx")


def run(
    home: Path, database_url: str, *, seed: int, limit_s: float, phases: str, examples: int, spec_examples: int
) -> Requested:
    """Serve the API with a filled database, and run schemathesis against it.

    Args:
        home: The service's folder.
        database_url: The URL of an empty database.
        seed: The seed of the requests.
        limit_s: The time, in s, after which schemathesis is stopped; the result has the failures found until then.
        phases: Schemathesis's phases, separated by commas.
        examples: The number of requests for each operation in the fuzzing phase.
        spec_examples: The same for operations that take a spec, which is slow to draw.
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
    """Return the exit status and the output of a command. After the limit it gets SIGINT and prints its report."""
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
