"""The API over a large database: how long answers take at 50 requests a second, and what the reconciler's pass costs.

    python -m benchmarks.service.api [--experiments 10000] [--rate 50] [--seconds 90]

PostgreSQL, the API, its peer for Ray's Jobs API and the source of the requests are processes of their own.
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
import psutil

from benchmarks.bounds import Bound, header, machine, percentile, rows
from benchmarks.results_file import write
from benchmarks.service.api.requests import Mix
from benchmarks.service.api.running import Service, api, drivers, ray_jobs, settings_for
from benchmarks.service.api.stored import NUM_STAGES, Stored, fill
from benchmarks.service.ending import end_tidily
from service.store.database import Database
from tests.postgres import Server

PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "psycopg", "pydantic")
GET_MS, POST_MS, PASS_S = 50.0, 80.0, 1.0
# The first seconds are the warming up of a process that has just started.
WARM_UP_S, PASSES = 5, 20


def asked(service: Service, stored: Stored, rate: float, seconds: float) -> tuple[list[Bound], list[str]]:
    """Latencies of the requests, by endpoint and over all; and the endpoints that take a POST and were not asked."""
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
    told = [each for each in json.loads(answers.read_text()) if each["number"] >= WARM_UP_S * rate]
    return _latencies(told), mix.not_measured


def _latencies(answers: Sequence[dict[str, Any]]) -> list[Bound]:
    names = sorted({each["name"] for each in answers})
    print(f"{'':<66} {'n':>5} {'p50':>8} {'p99':>8} {'max':>8}  ms")
    for name in (*names, "GET", "POST"):
        values = [1000 * each["latency_s"] for each in answers if each["name"].startswith(name)]
        if name in names:
            values = [1000 * each["latency_s"] for each in answers if each["name"] == name]
        shown = [percentile(values, share) for share in (0.5, 0.99, 1.0)]
        print(f"{name:<66} {len(values):>5} {shown[0]:>8.1f} {shown[1]:>8.1f} {shown[2]:>8.1f}", flush=True)
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


def passes(service: Service) -> list[Bound]:
    """What the reconciler's passes cost, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.service.api.passes", "--count", str(PASSES)],
        env=dict(service.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    return [
        Bound("a pass of the reconciler, median", median(told["took_s"]), "s", PASS_S),
        Bound("a pass of the reconciler, longest", max(told["took_s"]), "s", PASS_S),
        Bound("a pass of the reconciler, processor time, median", median(told["cpu_s"]), "s"),
    ]


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a process so far."""
    times = process.cpu_times()
    return times.user + times.system


def measured(database_url: str, arguments: argparse.Namespace) -> list[Bound]:
    """Fill a database and measure."""
    database = Database(database_url)
    database.migrate()
    begun = time.monotonic()
    stored = fill(database, arguments.experiments)
    database.dispose()
    bounds = [Bound(f"stored {stored.num_experiments:,} experiments in", time.monotonic() - begun, "s")]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    with tempfile.TemporaryDirectory(prefix="tb") as home:
        service = settings_for(Path(home), database_url, inherited)
        with ray_jobs(service.settings.ray_dashboard_port, service.environment), drivers(service, stored):
            with api(service) as process:
                processes = {"the API": process, "its control process": process.children()[0]}
                before = [cpu_s(each) for each in processes.values()]
                latencies, not_asked = asked(service, stored, arguments.rate, arguments.seconds)
                for (name, each), at_first in zip(processes.items(), before, strict=True):
                    share = 100 * (cpu_s(each) - at_first) / (WARM_UP_S + arguments.seconds)
                    bounds.append(Bound(f"processor time of {name}", share, "% a core"))
            print(f"not asked: POST {', '.join(not_asked) or 'nothing'}")
            return bounds + latencies + passes(service)


def main(argv: list[str] | None = None) -> int:
    """Print the figures and write them; 0 only if all bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.api")
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=90.0, help="for how long")
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
