"""The records that attempts leave in a stage folder, as JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from service.events import ClassCounts
from service.failures import Failure
from service.states import WorkState

# How a stage may end.
EndState = Literal[WorkState.SUCCEEDED, WorkState.FAILED, WorkState.STOPPED]


class StoredRecord(BaseModel):
    """Base of everything that lies in a stage folder, or in the journal of a search, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# The keys of `AttemptStart.dataset` with the counts of the test set; records of earlier versions lack them.
_COUNTS = ("num_test", "num_classes", "num_test_majority")


class AttemptStart(StoredRecord):
    """The record of an attempt's start: `started.json`. `dataset` is `tet_core.data.dataset.Dataset.facts`."""

    attempt: int
    at_ms: int
    host: str
    resumed_epoch: int
    initial_sha256: str
    environment: dict[str, str | int | bool]
    dataset: dict[str, str | int]
    num_parameters: int
    generation: int = 1

    @property
    def test_set(self) -> ClassCounts | None:
        """The counts of the test set; None if an earlier version wrote the record."""
        if not all(key in self.dataset for key in _COUNTS):
            return None
        num_samples, num_classes, num_majority = (int(self.dataset[key]) for key in _COUNTS)
        return ClassCounts(num_samples=num_samples, num_classes=num_classes, num_majority=num_majority)


class Layer(StoredRecord):
    """The health of a layer of neurons after an epoch; see `tet_core.measure.layer_health.LayerHealth`."""

    firing_rate: float
    gradient: float


class Commit(StoredRecord):
    """One epoch of a training, or one row of an analysis: a line of the stage's journal.

    `checkpoint` is the path of the checkpoint, or of the row's records, relative to the stage folder. `step` is the
    step of its metrics in MLflow; None: `epoch`. `layers` has the health of each layer of neurons by the layer's name.
    `sample_bits` is the path of the epoch's `service.sample_bits.SampleBits`, relative to the stage folder; None if it
    is not the last epoch of a training, or if an earlier version wrote it. Other keys, which earlier versions wrote
    about layers, are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    epochs: int
    attempt: int
    at_ms: int
    metrics: dict[str, float]
    checkpoint: str
    weights_sha256: str
    step: int | None = None
    layers: dict[str, Layer] = {}
    sample_bits: str | None = None

    @property
    def firing_rates(self) -> list[float]:
        """The firing rate of each layer of neurons; empty if it was not measured."""
        return [layer.firing_rate for layer in self.layers.values()]


class Done(StoredRecord):
    """The end of a stage: the completion marker. `failure` says why a stage failed.

    A marker says succeeded or failed. A stage that was stopped has no marker: a journal of decisions says so.
    """

    state: EndState
    attempt: int
    at_ms: int
    failure: Failure | None = None
