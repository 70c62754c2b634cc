"""Answers about chains: their stages, their failures, and the progress of a search over them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.answers.chances import ChanceView
from service.failures import FailureType, Remedy, Whose
from service.states import WorkState


class FailureView(BaseModel):
    """A failure; `docs/troubleshooting.md` says what each type means, and what to do."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: FailureType
    class_: Whose = Field(
        alias="class",
        description="Whose failure it is. A user's failure is not retried; a cluster's is, a limited number of times.",
    )
    message: str = Field(examples=["the sdt loss is nan in epoch 3, batch 7 of 12; a lower learning rate may help"])


class FailureGroupView(FailureView):
    """A failure that stages share, and what can mend it."""

    num_chains: int = Field(description="How many chains met it.")
    chain: str = Field(description="The id of one of these chains.")
    remedy: Remedy = Field(
        description="What can mend it. `new_spec`: another spec, or other resources; `repair_or_new_spec`: the same, "
        "or a retry after the data or the nodes were repaired; `repair`: only such a retry; `retry`: a retry alone."
    )
    advice: str = Field(description="What to do, in words.")


class StageFailureView(FailureView):
    """The failure of a stage."""

    kind: str | None = Field(
        description="The exception's name; null if there was none.", examples=["FloatingPointError"]
    )
    traceback: str = Field(description="The last lines of the traceback, or other details.")


class StageView(BaseModel):
    """A stage of a chain, with the metrics of its newest committed epoch."""

    index: int
    kind: str = Field(examples=["train", "time_sweep", "landscape", "energy"])
    T: int | None = Field(description="Time steps; null for an analysis at several T.")
    state: WorkState
    epoch: int = Field(description="Epochs committed so far; for an analysis, rows.")
    epochs: int
    metrics: dict[str, float] = Field(examples=[{"test/accuracy": 0.952}])
    weights_sha256: str | None
    mlflow_run_id: str | None
    attempts: int
    failure: StageFailureView | None = Field(None, description="Why the stage failed; null if it did not.")
    chance: ChanceView | None = Field(
        None,
        description="Its test accuracy against chance; null without a test accuracy, and if the stage ran under a "
        "version that did not record the test set's size.",
    )


class ChainView(BaseModel):
    """An arm at one seed, and in one configuration of a search."""

    id: str
    arm: str
    seed: int
    configuration: dict[str, Any] = Field(
        description="The values of the search, by place in the spec; empty without a search, and until they are chosen."
    )
    state: WorkState
    reason: str = Field(description="Why it was stopped: by a search, or as no decision needs it; else empty.")
    stages: list[StageView]


class BestView(BaseModel):
    """The best configuration so far by val/accuracy, which the comparison shows.

    It is the best of the configurations with results at the most seeds. Until a chain of the arm has succeeded, it is
    the running configuration with the highest val/accuracy so far.
    """

    configuration: dict[str, Any]
    val_accuracy: float = Field(description="Mean over its seeds with a result, a fraction.")
    chains: list[str] = Field(description="The ids of its chains, one for each seed.")
    complete: bool = Field(description="Whether all of these chains have succeeded.")


class ArmSearchView(BaseModel):
    """The progress of the search of one arm."""

    name: str
    num_configurations: int
    states: dict[WorkState, int] = Field(
        description="The number of configurations in each state.",
        examples=[{"succeeded": 5, "stopped": 11, "running": 2}],
    )
    train_time_s: float = Field(description="Training time of all committed epochs of all its chains, s.")
    best: BestView | None


class SearchView(BaseModel):
    """The progress of a search."""

    method: str
    goal: list[str]
    early_stopping: str | None
    arms: list[ArmSearchView]
    expected_end: datetime | None = Field(
        description="Expected end, by the pace since the search was last started, resumed or "
        "retried; null until the pace is known."
    )
