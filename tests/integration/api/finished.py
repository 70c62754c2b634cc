"""Experiments as they are after their chains have run, without a run: rows of the database filled by hand."""

import hashlib
import random
from collections.abc import Mapping
from typing import Any

from service.curves import StageCurves, packed
from service.failures import Failure, FailureType
from service.states import WorkState
from service.store.repository import Repository
from tests.unit.service.figures.made_up import landscape

FACTS = {
    "environment": {"torch": "2.13.0", "device": "cpu", "kernel": "c", "num_threads": 1, "precision": "float32"},
    "dataset": {"name": "digits", "digest": "ab" * 32, "num_train": 1437, "num_test": 360},
    "num_parameters": 12_345,
}
STARTED_FROM = "12" * 32
FAILURE = Failure.of(FailureType.DATA, "images/2.png: damaged", kind="DataError", trace="Traceback ...")


def weights_of(arm: str, seed: int, stage: int) -> str:
    """Return the hash of the weights after a stage of a chain."""
    return hashlib.sha256(f"{arm} {seed} {stage}".encode()).hexdigest()


def finish_all(
    repository: Repository, experiment_id: str, gains: Mapping[str, float], failed: tuple[tuple[str, int], ...] = ()
) -> None:
    """Let every chain succeed, with curves of all of its stages; `gains` is what an arm adds to an accuracy of 0.9."""
    for chain in repository.work.chains(experiment_id, limit=10_000):
        if (chain.arm, chain.seed) in failed:
            chain.state = WorkState.FAILED
            first = repository.work.stage(experiment_id, chain.id, 0)
            assert first is not None
            first.state, first.failure = WorkState.FAILED, FAILURE.as_json()
            continue
        chain.state = WorkState.SUCCEEDED
        draw = random.Random(f"{chain.arm} {chain.seed} {chain.configuration}")
        best = 0.9 + gains.get(chain.arm, 0.0) + 0.01 * chain.seed + draw.uniform(-0.002, 0.002)
        for stage in chain.stages:
            row = repository.work.stage(experiment_id, chain.id, stage.index)
            assert row is not None
            row.state, row.epoch, row.attempts = WorkState.SUCCEEDED, row.epochs, 1
            row.initial_sha256, row.weights_sha256 = STARTED_FROM, weights_of(chain.arm, chain.seed, stage.index)
            curves = _curves(stage.kind, row.epochs, chain.arm, chain.seed, best)
            if stage.kind == "train":
                row.metrics = {name: values[-1] for name, values in curves.values.items()}
                row.train_time_s = 2.0
            repository.curves.put(experiment_id, chain.id, stage.index, packed(curves, exact=stage.kind != "train"), "")


def _curves(kind: str, epochs: int, arm: str, seed: int, best: float) -> StageCurves:
    steps = tuple(range(1, epochs + 1))
    if kind == "landscape":
        series = landscape(arm, seed, 1, steep=2.0, size=epochs)
        return StageCurves(series.steps, series.values, {}, FACTS)
    values: dict[str, Any] = {
        "train": {
            "test/accuracy": tuple(best - 0.5 / step + 0.5 / epochs for step in steps),
            "train/accuracy": tuple(1 - 0.5 / step for step in steps),
            "test/loss_sdt": tuple(2 / step for step in steps),
            "test/loss_tet": tuple(2.5 / step for step in steps),
            "val/accuracy": tuple(best - 0.6 / step + 0.6 / epochs for step in steps),
        },
        "time_sweep": {
            "time_sweep/accuracy": tuple(best - 0.3 / step for step in steps),
            "time_sweep/loss_tet": tuple(1 / step for step in steps),
        },
        "energy": {
            "energy/uj_per_image": tuple(1.5 * step + best for step in steps),
            "energy/uj_per_image_paper": tuple(0.9 * step for step in steps),
            "energy/accuracy": tuple(best for _ in steps),
        },
    }[kind]
    summary = {"test/accuracy_best_test_epoch": best, "firing_rate": 0.2} if kind == "train" else {}
    return StageCurves(steps, values, summary, FACTS)
