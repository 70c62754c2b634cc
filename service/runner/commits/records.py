"""The records that attempts leave in a stage folder, as JSON."""

from pydantic import BaseModel, ConfigDict

from service.failures import Failure


class StoredRecord(BaseModel):
    """Base of what lies in a stage folder as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AttemptStart(StoredRecord):
    """What an attempt knew when it began: `started.json`."""

    attempt: int
    at_ms: int
    host: str
    resumed_epoch: int
    initial_sha256: str
    environment: dict[str, str | int | bool]
    dataset: dict[str, str | int]
    num_parameters: int
    generation: int = 1


class Layer(StoredRecord):
    """How a layer of neurons was after an epoch; see `tet_core.measure.layer_health.LayerHealth`."""

    firing_rate: float
    gradient: float


class Commit(StoredRecord):
    """One epoch of a training, or one row of an analysis: the journal line.

    `checkpoint` is the file that it left, a path relative to the stage folder: a checkpoint, or the row's records.
    `step` is where its metrics stand on the x axis; None: at `epoch`. `layers` says how each layer of neurons was, by
    its name; what earlier versions wrote about layers is passed over.
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


class Done(StoredRecord):
    """The end of a stage: the completion marker. `state` is succeeded or failed; `failure` says why.

    Where a search has stopped it, it is stopped, by the search's journal, and has no marker.
    """

    state: str
    attempt: int
    at_ms: int
    failure: Failure | None = None


def commit_name(epoch: int) -> str:
    """File name of an epoch's commit."""
    return f"{epoch:06d}.json"
