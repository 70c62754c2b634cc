"""The outcomes and curves of chains, as results need them: the database and a driver's ledger have them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.curves import StageCurves
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
            a further one if the caller asked for it.
    """

    id: str
    arm: str
    seed: int
    configuration: int
    state: str
    hyperparameters: dict[str, Any]
    stages: list[StageOutcome]


@dataclass(frozen=True)
class CurvesOfStage:
    """The curves of a stage that has ended, and what a reader must know of the stage. `error` says why there are none.

    `chain` is the chain's id.
    """

    chain: str
    arm: str
    seed: int
    configuration: int
    index: int
    kind: str
    T: int | None
    curves: StageCurves | None
    error: str
