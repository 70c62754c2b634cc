"""Experiments as they are after a driver has run them, without a run: their files on storage, and its events read."""

import json
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.control.ingest import ingest
from service.events import Outcome
from service.failures import Failure, FailureType
from service.plan import Chain, StagePlan, plan
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.chains.resampler import Resampler
from service.runner.commits.attempt import Attempt
from service.runner.commits.records import Layer
from service.runner.outcome import announce_cancelled
from service.spec import parse
from service.states import ExperimentState, Wanted, WorkState
from service.storage import ExperimentFolder
from tests.integration.api.conftest import Api

FAILURE = Failure.of(FailureType.DATA, "images/2.png: damaged", kind="DataError", trace="Traceback ...")
NUM_TEST = 360
FACTS: dict[str, Any] = {
    "initial_sha256": "12" * 32,
    "environment": {"torch": "2.13.0", "device": "cpu", "num_threads": 1},
    "dataset": {
        "name": "digits",
        "digest": "d",
        "num_train": 1437,
        "num_test": NUM_TEST,
        "num_classes": 10,
        "num_test_majority": 40,
    },
    "num_parameters": 12_345,
}


class RunOnStorage:
    """An experiment that is posted to the API, and runs by what a test writes.

    Args:
        api: The API.
        experiment_id: The experiment's id.
    """

    def __init__(self, api: Api, experiment_id: str) -> None:
        self.api, self.id = api, experiment_id
        self.folder = ExperimentFolder(api.settings.storage, experiment_id)
        with api.changing() as repository:
            row = repository.experiments.get(experiment_id)
            self.preset, self.created_at = row.preset, row.created_at
            starts: dict[str, Any] = {"driver_attempt": 1, "started_at": row.created_at}
            repository.transitions.advance(experiment_id, _STATE.QUEUED, _STATE.STARTING, **starts)
            repository.transitions.advance(experiment_id, _STATE.STARTING, _STATE.RUNNING)
            self.folder.driver(1).mkdir(parents=True)
            self.folder.spec.write_text(json.dumps(row.spec, ensure_ascii=False, indent=1))
            self.chains = plan(parse(row.spec))

    def train(self, failed: tuple[tuple[str, int], ...] = (), unfinished: tuple[tuple[str, int], ...] = ()) -> None:
        """Let chains succeed, except those of these arms and seeds."""
        for chain in self.chains:
            stages = chain.stages[: 1 if (chain.arm, chain.seed) in (*failed, *unfinished) else None]
            for stage in stages:
                attempt = self._commit(chain, stage)
                if (chain.arm, chain.seed) in failed:
                    attempt.finish(state=WorkState.FAILED, at_ms=9_000, failure=FAILURE)
                elif (chain.arm, chain.seed) not in unfinished:
                    attempt.finish(state=WorkState.SUCCEEDED, at_ms=9_000)

    def end(self, outcome: Outcome) -> tuple[Ledger, Resampler]:
        """End the experiment as its driver does, let the API read the driver's events, and return what it knows."""
        events = EventFile(self.folder.events(1))
        ledger = Ledger(self.folder, self.chains, events)
        resampler = Resampler(parse(json.loads(self.folder.spec.read_bytes())), ledger, self.folder, events)
        ledger.announce_all()
        resampler.finish(lambda: False)
        if outcome.state is ExperimentState.CANCELLED:
            announce_cancelled(ledger, events)
            with self.api.changing() as repository:
                repository.experiments.get(self.id).wanted = Wanted.CANCEL
        events.append(outcome)
        events.close()
        ingest(self.api.database, self.folder)
        with self.api.changing() as repository:
            repository.curves.filled(self.id, 1)
        return ledger, resampler

    def _commit(self, chain: Chain, stage: StagePlan) -> Attempt:
        attempt = Attempt(self.folder.stage(chain.id, stage.index))
        attempt.write_started(at_ms=1_000, resumed_epoch=0, **FACTS)
        for epoch in range(1, stage.epochs + 1):
            file = attempt.checkpoint_path(epoch)
            file.write_text(_grid_row(epoch, stage.epochs))
            metrics, bits = _metrics(chain, stage, epoch), None
            if stage.is_train and epoch == stage.epochs:
                bits = attempt.write_sample_bits(epoch, _bits(chain, metrics["test/accuracy"]))
            attempt.commit(
                epoch=epoch,
                epochs=stage.epochs,
                at_ms=1_000 + epoch,
                metrics=metrics,
                sample_bits=bits,
                weights_sha256=f"{chain.seed}{stage.index}{epoch}" * 16,
                step=None if stage.is_train else epoch,
                layers={"conv1": Layer(firing_rate=0.1 + epoch / 30, gradient=1.0)} if stage.is_train else None,
            )
        return attempt


_STATE = ExperimentState


def _metrics(chain: Chain, stage: StagePlan, epoch: int) -> dict[str, float]:
    draw = random.Random(f"{chain.arm} {chain.seed} {stage.index} {epoch}")
    accuracy = 0.9 + 0.01 * len(chain.arm) - 0.3 / epoch + draw.uniform(-0.002, 0.002)
    match stage.kind:
        case "train":
            tested = round(NUM_TEST * accuracy) / NUM_TEST
            metrics = {"test/accuracy": tested, "train/accuracy": accuracy, "val/accuracy": accuracy - 0.01}
            return metrics | {
                "test/loss_sdt": 2 / epoch,
                "test/loss_tet": 3 / epoch,
                "epoch_time_s": draw.uniform(1, 2),
            }
        case "time_sweep":
            return {"time_sweep/accuracy": accuracy, "time_sweep/loss_tet": 1 / epoch}
        case "energy":
            energy = {"energy/uj_per_image": 1.1 * epoch + accuracy, "energy/uj_per_image_paper": 0.7 * epoch}
            return energy | {"energy/accuracy": accuracy}
        case _:
            return {"landscape/loss_sdt": draw.uniform(1, 2)}


def _bits(chain: Chain, accuracy: float) -> NDArray[np.bool_]:
    """Return which test samples are right: as many as the accuracy says, at places that differ between chains."""
    order = np.random.default_rng([chain.seed, len(chain.arm)]).permutation(NUM_TEST)
    return np.asarray(order < round(NUM_TEST * accuracy))


def _grid_row(number: int, size: int) -> str:
    """Return a row of a landscape: a bowl around its middle."""
    at = [2 * place / max(1, size - 1) - 1 for place in range(size)]
    beta = at[number - 1]
    losses = [0.2 + alpha**2 + 0.5 * beta**2 for alpha in at]
    records = zip(at, losses, strict=True)
    return json.dumps([{"alpha": a, "beta": beta, "loss_sdt": loss, "loss_tet": 2 * loss} for a, loss in records])
