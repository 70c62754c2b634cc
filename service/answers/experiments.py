"""Answers about experiments."""

from datetime import datetime

from pydantic import BaseModel, Field

from service.answers.chains import ChainView, FailureView, SearchView
from service.reasons import ReasonKind
from service.spec.blocks import Resources
from service.states import ExperimentState


class Links(BaseModel):
    """Addresses of MLflow and Ray's dashboard; null until there is something to see."""

    mlflow: str | None = Field(None, examples=["http://127.0.0.1:5000/#/experiments/1/runs"])
    ray: str | None = Field(None, examples=["http://127.0.0.1:8265/#/jobs/tet-0198c2f0a5b7d1e2f3a4-1"])


class ProgressSummary(BaseModel):
    """The number of stages, over all chains, that are done."""

    stages_done: int
    stages_total: int


class ProgressView(ProgressSummary):
    """How much of an experiment is done, over all its chains, shown or not; null on the pages after the first."""

    chains_total: int | None = None
    epochs_done: int | None = Field(None, description="Epochs of training.")
    epochs_total: int | None = None
    rows_done: int | None = Field(None, description="Rows of analyses.")
    rows_total: int | None = None
    work_done: int | None = Field(
        None, description="Epochs and rows, times T: an epoch takes about T times as long at T time steps."
    )
    work_total: int | None = None


class ExperimentSummary(BaseModel):
    """An experiment in a list."""

    id: str = Field(examples=["0198c2f0a5b7d1e2f3a4"])
    name: str
    state: ExperimentState
    reason: str = Field(description="Why it is in this state, in words; empty if the state says it all.")
    reason_kind: ReasonKind = Field(description="The same for programs: the words may change, the kinds stay.")
    failure: FailureView | None = Field(
        None,
        description="Why it failed: the failure of the first stage that did, of the engine or of MLflow; else null.",
    )
    owner: str = Field(description="The user that it belongs to; 'local' as long as the service has no users.")
    priority: int = Field(description="In the queue, a higher priority goes first.")
    generation: int = Field(description="1, plus one for each retry.")
    created_at: datetime
    started_at: datetime | None = Field(None, description="When this generation first left the queue.")
    finished_at: datetime | None = None
    preset: str | None = Field(None, description="The preset it was posted by.")
    links: Links
    progress: ProgressSummary


class OutcomeView(BaseModel):
    """The end of an earlier generation of an experiment."""

    generation: int
    state: ExperimentState
    reason: str
    failure: FailureView | None = None
    started_at: datetime | None
    finished_at: datetime


class EarlierResources(BaseModel):
    """The earlier resources of a trial. The environment of each attempt at a stage records its number of workers."""

    resources: Resources
    generation: int = Field(description="The generation in which they were replaced.")
    until: datetime


class WebhookView(BaseModel):
    """The message about the end, to the address that the spec names."""

    url: str
    tries: int
    error: str = Field(description="What went wrong at the last try; empty if nothing did.")
    delivered_at: datetime | None
    next_try_at: datetime | None


class ExperimentView(ExperimentSummary):
    """An experiment with its chains."""

    parents: list[str] = Field(description="The ids of the experiments whose checkpoints it started from.")
    rerun_of: str | None = Field(
        None, description="The id of the search whose choice it measures; that search may have been deleted."
    )
    history: list[OutcomeView] = Field(description="How earlier generations ended, oldest first.")
    resources: Resources = Field(description="The resources of a trial from its next start on, with all defaults.")
    resources_history: list[EarlierResources] = Field(
        description="Earlier resources, oldest first: those that a resume or a retry replaced."
    )
    checkpoints_removed_at: datetime | None = None
    delete_at: datetime | None = Field(None, description="When the service deletes it; null: never.")
    webhook: WebhookView | None = None
    search: SearchView | None = Field(
        None, description="The progress of the search; null without a search, and on later pages."
    )
    progress: ProgressView

    chains: list[ChainView] = Field(description="At most 1,000 of them.")
    next_cursor: str | None = Field(None, description="The cursor for the chains that follow; null: there are no more.")


class ExperimentPage(BaseModel):
    """Experiments, newest first."""

    experiments: list[ExperimentSummary]
    next_cursor: str | None = Field(None, description="The cursor for the next page; null: this is the last one.")
