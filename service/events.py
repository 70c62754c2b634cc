"""Events: the lines of a driver's event file, and of the stream that clients follow.

The stream holds the events of the drivers (`AnyEvent`) and those of the service itself (`ExperimentChanged`). An event
states a fact in full ("stage 1 of chain c is at epoch 7 with these metrics"), never a difference, so applying it twice
changes nothing.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from service.failures import Failure, FailureSummary
from service.reasons import ReasonKind
from service.spec.blocks import Resources
from service.states import Cleanup, ExperimentState, Wanted, WorkState
from service.statistics.resampling import ResampledDifference


def utc_now() -> datetime:
    """Return the current time, with the time zone UTC."""
    return datetime.now(UTC)


class Event(BaseModel):
    """The base of every event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime = Field(default_factory=utc_now)

    def data(self) -> dict[str, Any]:
        """Return the event as the stream holds it, without time and type: these have columns of their own."""
        return self.model_dump(mode="json", exclude={"at", "type"})


class DriverStarted(Event):
    """The start of a driver, after it has read the commits of earlier drivers."""

    type: Literal["driver"] = "driver"
    attempt: int


class MlflowExperimentFound(Event):
    """The MLflow experiment that holds this experiment's runs."""

    type: Literal["mlflow"] = "mlflow"
    mlflow_experiment_id: str
    # The key of the saved view that shows the arms as curves; None if MLflow refuses it, or if an earlier version wrote
    # the event.
    view: str | None = None


class RunFound(Event):
    """The MLflow run of a chain (`stage` is None) or of a stage."""

    type: Literal["run"] = "run"
    chain: str
    stage: int | None
    run_id: str


class ClassCounts(BaseModel):
    """The counts of a test set on which chance depends: its samples, its classes, the samples of its largest class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_samples: int = Field(gt=0)
    num_classes: int = Field(gt=0)
    num_majority: int = Field(gt=0)


class StageChanged(Event):
    """The progress of a stage. `test_set` is None until the stage has started, and in events of earlier versions."""

    type: Literal["stage"] = "stage"
    chain: str
    stage: int
    state: WorkState
    epoch: int = 0
    metrics: dict[str, float] = {}
    train_time_s: float = 0.0
    initial_sha256: str | None = None
    weights_sha256: str | None = None
    attempts: int = 0
    failure: Failure | None = None
    test_set: ClassCounts | None = None


class StageCurved(Event):
    """The curves of a stage that has ended: its metrics over its epochs or rows.

    `curves` is what `service.curves.as_text` returns; None if they could not be computed, and `error` says why. The
    stream that clients follow does not have this event.
    """

    type: Literal["curves"] = "curves"
    chain: str
    stage: int
    curves: str | None
    error: str = ""


class PairResampled(Event):
    """A pair of arms, resampled over the seeds that its difference rests on and over the test samples.

    `result` is None if it could not be computed, and `error` says why. The same seeds give the same result. The stream
    that clients follow does not have this event.
    """

    type: Literal["resampled"] = "resampled"
    arm: str
    to: str
    seeds: list[int]
    result: ResampledDifference | None
    error: str = ""


class ChainConfigured(Event):
    """The values that a search proposed for a chain.

    `stages` has the T (None: an analysis at several T) and the epochs that each stage has with these values.
    """

    type: Literal["settled"] = "settled"
    chain: str
    hyperparameters: dict[str, Any]
    stages: list[dict[str, int | None]]


class ChainChanged(Event):
    """The state of a chain; `reason` says why it was stopped: by a search, or because no decision needs it."""

    type: Literal["chain"] = "chain"
    chain: str
    state: WorkState
    reason: str = ""


class OutboxChanged(Event):
    """The number of committed points that MLflow does not have yet, and MLflow's last error."""

    type: Literal["outbox"] = "outbox"
    pending: int
    error: str = ""


class Outcome(Event):
    """A driver's last event: how the experiment ended.

    `failure` is the failure of the first stage that failed, of MLflow, or of a search that stopped every configuration
    of an arm.
    """

    type: Literal["outcome"] = "outcome"
    state: Literal[ExperimentState.SUCCEEDED, ExperimentState.FAILED, ExperimentState.CANCELLED]
    reason: str = ""
    failure: FailureSummary | None = None


class ExperimentChanged(Event):
    """The state of an experiment, and what changed with it: only the fields that a writer sets are stored.

    The service adds it to the stream; no driver writes it.

    Attributes:
        state: The state after the change.
        wanted: What its user wants from now on: run, pause or cancel.
        generation: The number of the generation that a retry has opened.
        cleanup: The part of it that is to be removed.
        resources: The resources of a trial from now on.
        reason: The reason for the state, in words; empty if there is none.
        reason_kind: The kind of that reason.
        failure: The failure that ended it.
    """

    type: Literal["experiment"] = "experiment"
    state: ExperimentState
    wanted: Wanted | None = None
    generation: int | None = None
    cleanup: Cleanup | None = None
    resources: Resources | None = None
    reason: str = ""
    reason_kind: ReasonKind = ReasonKind.NONE
    failure: FailureSummary | None = None

    def data(self) -> dict[str, Any]:
        """Return the fields that the writer has set."""
        return self.model_dump(mode="json", include=self.model_fields_set - {"at", "type"})


# The events of a driver's event file.
AnyEvent = Annotated[
    DriverStarted
    | MlflowExperimentFound
    | RunFound
    | StageChanged
    | StageCurved
    | PairResampled
    | ChainConfigured
    | ChainChanged
    | OutboxChanged
    | Outcome,
    Field(discriminator="type"),
]
EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
