"""The latency of the comparison of 1,000 chains over HTTP, by the API's own process."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from sqlalchemy import bindparam, select, update

from benchmarks.bounds import Bound
from benchmarks.service.api.running import api, settings_for
from benchmarks.service.api.stored import tidy
from benchmarks.service.measured import cpu_s
from benchmarks.service.planning import METRICS, sized, succeed
from service.answers.comparisons import ComparisonView
from service.plan import plan
from service.resampled_pairs import ResampledPair
from service.sample_bits import Bits
from service.spec import Experiment, parse
from service.states import ExperimentState
from service.statistics.resampling import resampled_difference
from service.store.database import Database
from service.store.tables import ChainRow, StageRow
from tests.postgres import Server, binaries

# The longest time, in ms, of an answer, and the number of measured answers after the first one.
MAX_MS, REQUESTS = 300.0, 20
# Numbers of arms and seeds whose product is 1,000.
SHAPES = ((2, 500), (10, 100))
NUM_SAMPLES = 10_000
TEST_SET = {"num_samples": NUM_SAMPLES, "num_classes": 10, "num_majority": 1_000}


def latencies() -> list[Bound]:
    """Return the latencies on SQLite, and on PostgreSQL if it is installed."""
    bounds = []
    for num_arms, num_seeds in SHAPES:
        for kind, url in _databases():
            with url as database_url, tempfile.TemporaryDirectory(prefix="tb") as home:
                name = f"comparison of {num_arms} arms x {num_seeds} seeds, {kind}"
                bounds += _measured(name, database_url or f"sqlite:///{home}/tet.db", Path(home), num_arms, num_seeds)
    return bounds


def _databases() -> list[tuple[str, Any]]:
    kinds: list[tuple[str, Any]] = [("SQLite", _no_server())]
    return [*kinds, ("PostgreSQL", _postgres())] if binaries() is not None else kinds


@contextmanager
def _no_server() -> Iterator[None]:
    yield None


@contextmanager
def _postgres() -> Iterator[str]:
    server = Server.start(durable=True)
    try:
        with server.database("bench") as url:
            yield url
    finally:
        server.stop()


def _measured(name: str, database_url: str, home: Path, num_arms: int, num_seeds: int) -> list[Bound]:
    database = Database(database_url)
    database.migrate()
    experiment_id = store(database, num_arms, num_seeds)
    if database.engine.dialect.name == "postgresql":
        tidy(database)
    database.dispose()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    service = settings_for(home, database_url, inherited)
    with (
        api(service) as process,
        httpx.Client(base_url=service.settings.api_url, timeout=30, trust_env=False) as client,
    ):
        path = f"/experiments/{experiment_id}/comparison"
        first_ms, answer = _ms(client, path)
        check(ComparisonView.model_validate_json(answer), num_arms, num_seeds)
        before_s = cpu_s(process)
        others_ms = [_ms(client, path)[0] for _ in range(REQUESTS)]
        of_core_ms = 1000 * (cpu_s(process) - before_s) / REQUESTS
    return [
        Bound(f"{name}: the first answer", first_ms, "ms"),
        Bound(f"{name}: time of a core for each", of_core_ms, "ms"),
        Bound(f"{name}: median of {REQUESTS}", median(others_ms), "ms", MAX_MS),
        Bound(f"{name}: longest of {REQUESTS}", max(others_ms), "ms", MAX_MS),
    ]


def _ms(client: httpx.Client, path: str) -> tuple[float, bytes]:
    start = time.perf_counter()
    answer = client.get(path)
    took_ms = 1000 * (time.perf_counter() - start)
    answer.raise_for_status()
    return took_ms, answer.content


def check(view: ComparisonView, num_arms: int, num_seeds: int) -> None:
    """Check that an answer has every chain and every resampled pair.

    Raises:
        RuntimeError: It lacks some, so its latency says nothing.
    """
    chains = sum(len(arm.values) for arm in view.arms)
    pairs = sum(arm.versus_baseline is not None and arm.versus_baseline.resampled is not None for arm in view.arms)
    if (chains, pairs) != (num_arms * num_seeds, num_arms - 1):
        raise RuntimeError(
            f"the answer has {chains} chains and {pairs} resampled pairs; {num_arms} x {num_seeds} wanted"
        )


def store(database: Database, num_arms: int, num_seeds: int) -> str:
    """Store an experiment that has succeeded, with its resampled pairs, and return its id."""
    spec = parse(sized(num_arms, 1, num_seeds))
    bits = drawn_bits(num_arms, num_seeds)
    with database.session() as repository:
        experiment_id = repository.experiments.create(spec, plan(spec)).id
    succeed(database)
    _store_accuracies(database, spec, bits)
    with database.session() as repository:
        for number, arm in enumerate(spec.arms[1:], start=1):
            found = resampled_difference(bits[number], bits[0])
            pair = ResampledPair(arm.name, spec.arms[0].name, spec.all_seeds, found)
            repository.resampled.put(experiment_id, pair)
        repository.curves.filled(experiment_id, 1)
        repository.resampled.filled(experiment_id, 1)
        repository.transitions.advance(experiment_id, ExperimentState.QUEUED, ExperimentState.SUCCEEDED)
    return experiment_id


def drawn_bits(num_arms: int, num_seeds: int, num_samples: int = NUM_SAMPLES) -> list[dict[int, Bits]]:
    """Return bits of test samples for each arm and seed: accuracies of about 90 %, other ones in each arm."""
    draw = np.random.default_rng(0)
    return [
        {seed: draw.random(num_samples) < 0.9 + number / 1_000 for seed in range(num_seeds)}
        for number in range(num_arms)
    ]


def _store_accuracies(database: Database, spec: Experiment, bits: list[dict[int, Bits]]) -> None:
    """Give each stage the accuracy of its bits."""
    numbers = {arm.name: number for number, arm in enumerate(spec.arms)}
    of_stage = StageRow.experiment_id == bindparam("experiment"), StageRow.chain_id == bindparam("chain")
    values: dict[str, Any] = {"metrics": bindparam("found"), "test_set": bindparam("tested")}
    with database.engine.begin() as connection:
        chains = connection.execute(select(ChainRow.experiment_id, ChainRow.id, ChainRow.arm, ChainRow.seed)).all()
        rows = [
            {
                "experiment": experiment,
                "chain": chain,
                "found": METRICS | {"test/accuracy": float(bits[numbers[arm]][seed].mean())},
                "tested": TEST_SET,
            }
            for experiment, chain, arm, seed in chains
        ]
        connection.execute(update(StageRow.__table__).where(*of_stage).values(**values), rows)  # type: ignore[arg-type]
