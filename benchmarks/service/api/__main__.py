"""The API over a large database: the latency of answers at 50 requests a second, and the time of a reconciler's round.

    python -m benchmarks.service.api [--experiments 10000] [--rate 50] [--seconds 90]

PostgreSQL, the API, the server that stands for Ray's Jobs API and the source of the requests are separate processes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.bounds import Bound, header, machine, percentile, rows
from benchmarks.results_file import write
from benchmarks.service.api.requests import Mix
from benchmarks.service.api.running import Service, api, drivers, ray_jobs, settings_for
from benchmarks.service.api.stored import NUM_STAGES, Stored, fill
from benchmarks.service.ending import end_tidily
from benchmarks.service.measured import cpu_s
from service.store.database import Database
from tests.postgres import Server

PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "psycopg", "pydantic")
GET_MS, POST_MS, ROUND_S = 50.0, 80.0, 1.0
# Seconds that are not measured because the API has just started, and number of measured rounds of the reconciler.
WARM_UP_S, ROUNDS = 5, 20


def request_latencies(service: Service, stored: Stored, rate: float, seconds: float) -> tuple[list[Bound], list[str]]:
    """Return the latencies by endpoint and over all endpoints, and the POST endpoints that were not measured."""
    description = httpx.get(f"{service.settings.api_url}/openapi.json", trust_env=False).json()
    mix = Mix(description, stored)
    requests, answers = service.settings.home / "requests.jsonl", service.settings.home / "answers.json"
    count = round((WARM_UP_S + seconds) * rate)
    requests.write_text("\n".join(json.dumps(request.as_dict()) for request in mix.requests(count)))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.service.api.load",
            f"--port={service.port}",
            f"--rate={rate}",
            f"--requests={requests}",
            f"--answers={answers}",
        ],
        env=dict(service.environment),
        check=True,
    )
    measured_answers = [each for each in json.loads(answers.read_text()) if each["number"] >= WARM_UP_S * rate]
    return _latencies(measured_answers), mix.not_measured


def _latencies(answers: Sequence[dict[str, Any]]) -> list[Bound]:
    names = sorted({each["name"] for each in answers})
    print(f"{'':<66} {'n':>5} {'p50':>8} {'p99':>8} {'max':>8}  ms")
    for name in (*names, "GET", "POST"):
        values = [1000 * each["latency_s"] for each in answers if each["name"].startswith(name)]
        if name in names:
            values = [1000 * each["latency_s"] for each in answers if each["name"] == name]
        percentiles = [percentile(values, share) for share in (0.5, 0.99, 1.0)]
        print(
            f"{name:<66} {len(values):>5} {percentiles[0]:>8.1f} {percentiles[1]:>8.1f} {percentiles[2]:>8.1f}",
            flush=True,
        )
    failed = [each for each in answers if not 200 <= each["status"] < 300]
    for (name, status), count in Counter((each["name"], each["status"]) for each in failed).items():
        print(f"{count} x {status}: {name}")
    bounds = [Bound("answers other than 2xx", len(failed), "", 0)]
    for method, limit in (("GET", GET_MS), ("POST", POST_MS)):
        values = [1000 * each["latency_s"] for each in answers if each["name"].startswith(method)]
        bounds += [
            Bound(f"{method}, median", percentile(values, 0.5), "ms"),
            Bound(f"{method}, 99th percentile", percentile(values, 0.99), "ms", limit),
        ]
    late = [1000 * each["late_s"] for each in answers]
    return [*bounds, Bound("the source of the requests was late, 99th percentile", percentile(late, 0.99), "ms")]


def reconciler_rounds(service: Service) -> list[Bound]:
    """Return the time of the reconciler's rounds, measured in a separate process."""
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.service.api.reconciler_rounds", "--count", str(ROUNDS)],
        env=dict(service.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(process.stdout)
    return [
        Bound("a round of the reconciler, median", median(result["took_s"]), "s", ROUND_S),
        Bound("a round of the reconciler, longest", max(result["took_s"]), "s", ROUND_S),
        Bound("a round of the reconciler, processor time, median", median(result["cpu_s"]), "s"),
    ]


def measured(database_url: str, arguments: argparse.Namespace) -> list[Bound]:
    """Fill a database, and return the measured figures."""
    database = Database(database_url)
    database.migrate()
    start_time = time.monotonic()
    stored = fill(database, arguments.experiments)
    database.dispose()
    bounds = [Bound(f"stored {stored.num_experiments:,} experiments in", time.monotonic() - start_time, "s")]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    with tempfile.TemporaryDirectory(prefix="tb") as home:
        service = settings_for(Path(home), database_url, inherited)
        with ray_jobs(service.settings.ray_dashboard_port, service.environment), drivers(service, stored):
            with api(service) as process:
                processes = {"the API": process, "its control process": process.children()[0]}
                before = [cpu_s(each) for each in processes.values()]
                latencies, not_measured = request_latencies(service, stored, arguments.rate, arguments.seconds)
                for (name, each), at_first in zip(processes.items(), before, strict=True):
                    share = 100 * (cpu_s(each) - at_first) / (WARM_UP_S + arguments.seconds)
                    bounds.append(Bound(f"processor time of {name}", share, "% a core"))
            print(f"not measured: POST {', '.join(not_measured) or 'nothing'}")
            return bounds + latencies + reconciler_rounds(service)


def main(argv: list[str] | None = None) -> int:
    """Print the figures and write them to a file; return 0 only if all bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.api")
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=90.0, help="seconds of requests that are measured")
    arguments = parser.parse_args(argv)
    end_tidily()
    about = machine()
    rows_stored = arguments.experiments * NUM_STAGES
    title = f"Service: {arguments.experiments:,} experiments, {rows_stored:,} stage rows, {arguments.rate:g} requests/s"
    print(header(title, PACKAGES), flush=True)
    server = Server.start(durable=True)
    try:
        with server.database("bench") as url:
            bounds = measured(url, arguments)
    finally:
        server.stop()
    print(*(bound.line() for bound in bounds), sep="\n")
    write("service_api", PACKAGES, {"about": about, "arguments": vars(arguments), "rows": rows(bounds)})
    return 0 if all(bound.holds for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
