"""The outcomes of chains, as results need them: the database has them, and a driver reads them from its ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.spec.search import ACCURACY, ENERGY

TEST_ACCURACY = "test/accuracy"
# The metrics that results use.
READ = (TEST_ACCURACY, ACCURACY, ENERGY)


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """A stage after its newest committed epoch."""

    index: int
    kind: str
    state: str
    train_time_s: float
    initial_sha256: str | None
    failure: dict[str, Any] | None
    test_set: dict[str, Any] | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ChainOutcome:
    """A chain, with its stages in order.

    Attributes:
        hyperparameters: The values of its configuration; all chains of the configuration share them.
        stages: Its stages. Only the last train stage of a chain that has succeeded has metrics: those in `READ`, and
            the further one that was asked for.
    """

    id: str
    arm: str
    seed: int
    configuration: int
    state: str
    hyperparameters: dict[str, Any]
    stages: list[StageOutcome]
