"""Answers about experiments."""

from datetime import datetime

from pydantic import BaseModel, Field

from service.answers.chains import ChainView, FailureGroupView, FailureView, SearchView
from service.reasons import ReasonKind
from service.spec.blocks import Resources
from service.states import ExperimentState


class Links(BaseModel):
    """Addresses in MLflow and in Ray's dashboard; null until they exist."""

    mlflow: str | None = Field(
        None,
        description="The charts of the arms, as means with bands.",
        examples=[
            "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&compareRunsMode=CHART"
            "&viewStateShareKey=tet-arms"
        ],
    )
    ray: str | None = Field(
        None,
        description="The newest driver's job, with its log. Null too once Ray has been restarted: it forgets its jobs.",
        examples=["http://127.0.0.1:8265/#/jobs/tet-0198c2f0a5b7d1e2f3a4-1"],
    )
    is_ray_job_gone: bool = Field(
        False,
        description="Whether Ray was restarted since, so that its dashboard has no page of the job. "
        "`GET /experiments/{id}/logs` still has the job's log.",
    )


class ProgressSummary(BaseModel):
    """The number of stages, over all chains, that are done."""

    stages_done: int
    stages_total: int


class ProgressView(ProgressSummary):
    """The progress over all chains of an experiment, not only those shown; later pages of chains count only stages."""

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
    reason: str = Field(description="Why it is in this state, in words; empty if there is nothing to explain.")
    reason_kind: ReasonKind = Field(description="The same for programs: the words may change, the kinds do not.")
    failure: FailureView | None = Field(
        None,
        description="Why it failed: the failure of the first failed stage, of the driver or of MLflow; else null.",
    )
    owner: str = Field(description="The user that it belongs to; 'local' as long as the service has no users.")
    priority: int = Field(description="In the queue, a higher priority goes first.")
    generation: int = Field(description="1, plus one for each retry.")
    created_at: datetime
    started_at: datetime | None = Field(None, description="When this generation first left the queue.")
    finished_at: datetime | None = None
    preset: str | None = Field(None, description="The preset with which it was posted.")
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
    """Earlier resources of a trial."""

    resources: Resources
    generation: int = Field(description="The last generation that had them.")
    until: datetime


class WebhookView(BaseModel):
    """The webhook that reports the end of the experiment."""

    url: str
    tries: int
    error: str = Field(description="The error of the last try; empty if there was none.")
    delivered_at: datetime | None
    next_try_at: datetime | None


class ExperimentView(ExperimentSummary):
    """An experiment with its chains."""

    parents: list[str] = Field(description="The ids of the experiments whose checkpoints it started from.")
    rerun_of: str | None = Field(
        None, description="The id of the search whose best configurations it measures. The search may be deleted."
    )
    history: list[OutcomeView] = Field(description="How earlier generations ended, oldest first.")
    resources: Resources = Field(description="The resources of a trial from its next start on, with all defaults.")
    resources_history: list[EarlierResources] = Field(
        description="Resources that a resume or a retry has replaced, oldest first."
    )
    checkpoints_removed_at: datetime | None = None
    delete_at: datetime | None = Field(None, description="When the service deletes it; null: never.")
    webhook: WebhookView | None = None
    search: SearchView | None = Field(
        None, description="The progress of the search; null without a search, and on later pages."
    )
    progress: ProgressView

    failures: list[FailureGroupView] = Field(
        [],
        description="The different failures of its stages, each with its number of chains, the most frequent first: "
        "at most 20; empty on later pages.",
    )
    chains: list[ChainView] = Field(description="At most 1,000 of them.")
    next_cursor: str | None = Field(None, description="The cursor for the chains that follow; null: there are no more.")


class ExperimentPage(BaseModel):
    """Experiments, newest first."""

    experiments: list[ExperimentSummary]
    next_cursor: str | None = Field(None, description="The cursor for the next page; null: this is the last one.")
