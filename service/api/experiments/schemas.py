"""What the endpoints of experiments answer with."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.failures import FailureType, Whose
from service.presets.catalogue import Published
from service.reasons import ReasonKind
from service.spec.blocks import Resources
from service.states import ExperimentState, VerificationState, WorkState


class Links(BaseModel):
    """Where people see more; None until there is something to see."""

    mlflow: str | None = Field(None, examples=["http://127.0.0.1:5000/#/experiments/1/runs"])
    ray: str | None = Field(None, examples=["http://127.0.0.1:8265/#/jobs/tet-0198c2f0a5b7d1e2f3a4-1"])


class Progress(BaseModel):
    """How many stages of all chains are done."""

    stages_done: int
    stages_total: int


class WholeProgress(Progress):
    """How much of an experiment is done, over all its chains, shown or not; pages behind a cursor leave that null."""

    chains_total: int | None = None
    epochs_done: int | None = Field(None, description="Epochs of training.")
    epochs_total: int | None = None
    rows_done: int | None = Field(None, description="Rows of analyses.")
    rows_total: int | None = None
    work_done: int | None = Field(None, description="Both, times T: an epoch takes about T times as long at T steps.")
    work_total: int | None = None


class FailureView(BaseModel):
    """Why something failed; `docs/troubleshooting.md` says of each type what it means and what to do."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: FailureType
    class_: Whose = Field(
        alias="class", description="Whose it is: the user's is never retried, the cluster's within a budget."
    )
    message: str = Field(examples=["the sdt loss is nan in epoch 3, batch 7 of 12; a lower learning rate may help"])


class StageFailureView(FailureView):
    """Why a stage failed."""

    kind: str | None = Field(description="The exception's name, where there was one.", examples=["FloatingPointError"])
    traceback: str = Field(description="Its last lines, or what else is known.")


class StageView(BaseModel):
    """A stage of a chain, with what its newest committed epoch left."""

    index: int
    kind: str = Field(examples=["train", "time_sweep", "landscape", "energy"])
    T: int | None = Field(description="Time steps; null where an analysis runs over several.")
    state: WorkState
    epoch: int = Field(description="Epochs committed so far; of an analysis, its rows.")
    epochs: int
    metrics: dict[str, float] = Field(examples=[{"test/accuracy": 0.952}])
    weights_sha256: str | None
    mlflow_run_id: str | None
    attempts: int
    failure: StageFailureView | None = Field(None, description="Why the stage failed, where it did.")


class ChainView(BaseModel):
    """An arm run with one seed, and in one configuration of a search."""

    id: str
    arm: str
    seed: int
    configuration: dict[str, Any] = Field(
        description="What a search has drawn, by its place; empty without one, and until it has."
    )
    state: WorkState
    reason: str = Field(description="Why a search has stopped it, where it has.")
    stages: list[StageView]


class BestView(BaseModel):
    """The configuration that is best so far by val/accuracy, or ahead of the others as long as none is complete."""

    configuration: dict[str, Any]
    val_accuracy: float = Field(description="Mean over its seeds, a fraction.")
    chains: list[str] = Field(description="Its chains, one a seed.")
    complete: bool = Field(description="Whether all of them have succeeded.")


class ArmSearchView(BaseModel):
    """How far the search of one arm is."""

    name: str
    num_configurations: int
    states: dict[WorkState, int] = Field(
        description="How many configurations are in each state.",
        examples=[{"succeeded": 5, "stopped": 11, "running": 2}],
    )
    train_time_s: float = Field(description="Of all committed epochs of all its chains.")
    best: BestView | None


class SearchView(BaseModel):
    """How far a search is; why a chain was stopped, the chain says."""

    method: str
    goal: list[str]
    early_stopping: str | None
    arms: list[ArmSearchView]
    expected_end: datetime | None = Field(
        description="If it goes on as since it last started, was resumed or retried; null until there is a pace."
    )


class ExperimentSummary(BaseModel):
    """An experiment, as a list shows it."""

    id: str = Field(examples=["0198c2f0a5b7d1e2f3a4"])
    name: str
    state: ExperimentState
    reason: str = Field(description="Why it is in this state, where that needs a word.")
    reason_kind: ReasonKind = Field(description="The same for programs: the words may change, the kinds stay.")
    failure: FailureView | None = Field(
        None, description="Of an experiment that failed: that of the first stage that did, of the engine or of MLflow."
    )
    owner: str = Field(description="Whose it is; 'local' as long as the service knows no users.")
    priority: int = Field(description="In the queue, what has more goes first.")
    generation: int = Field(description="1, and one more for each retry.")
    created_at: datetime
    started_at: datetime | None = Field(None, description="When this generation left the queue first.")
    finished_at: datetime | None = None
    preset: str | None = Field(None, description="The preset it was posted by.")
    links: Links
    progress: Progress


class OutcomeView(BaseModel):
    """How an earlier generation of an experiment ended."""

    generation: int
    state: ExperimentState
    reason: str
    failure: FailureView | None = None
    started_at: datetime | None
    finished_at: datetime


class EarlierResources(BaseModel):
    """What a trial was given before; which attempt of a stage had how many workers, its environment records."""

    resources: Resources
    generation: int = Field(description="In which generation it was replaced.")
    until: datetime


class WebhookView(BaseModel):
    """Whether the end was told to the address that the spec names."""

    url: str
    tries: int
    error: str = Field(description="What went wrong at the last try.")
    delivered_at: datetime | None
    next_try_at: datetime | None


class ExperimentView(ExperimentSummary):
    """An experiment with its chains."""

    parents: list[str] = Field(description="The experiments whose checkpoints it started from.")
    rerun_of: str | None = Field(None, description="The search whose choice it measures; it may have been deleted.")
    history: list[OutcomeView] = Field(description="How earlier generations ended, oldest first.")
    resources: Resources = Field(description="What a trial is given from its next start on, with all defaults.")
    resources_history: list[EarlierResources] = Field(
        description="What it was given before, oldest first, where it was resumed or retried with others."
    )
    checkpoints_removed_at: datetime | None = None
    delete_at: datetime | None = Field(None, description="When it is deleted by itself.")
    webhook: WebhookView | None = None
    search: SearchView | None = Field(
        None, description="How far the search is, where there is one; not on later pages."
    )
    progress: WholeProgress

    chains: list[ChainView] = Field(description="At most 1,000 of them.")
    next_cursor: str | None = Field(None, description="Ask with it for the chains that follow; None: these are all.")


class ExperimentPage(BaseModel):
    """Experiments, newest first."""

    experiments: list[ExperimentSummary]
    next_cursor: str | None = Field(None, description="Ask with it for the page that follows; None: this is the last.")


class PairedDifferenceView(BaseModel):
    """An arm's accuracy minus the baseline's, over the `n` seeds present in both."""

    difference: float | None
    low: float | None = Field(description="Lower end of the 95 % interval (Student's t); null below two pairs.")
    high: float | None
    n: int
    reason: str | None = Field(description="Why the arms cannot be paired, where they cannot; there is no number then.")


class ChoiceView(BaseModel):
    """Of a search: what an arm's numbers stand for."""

    configuration: dict[str, Any] | None = Field(
        description="The one that is best by val/accuracy over the most seeds; null as long as no chain has succeeded."
    )
    val_accuracy: float | None = Field(description="Its mean over these seeds, a fraction.")
    num_configurations: int = Field(description="Those of which a chain has succeeded so far.")


class ArmResultView(BaseModel):
    """An arm over the seeds whose chains have succeeded; accuracies are fractions."""

    name: str
    n: int
    mean: float | None = Field(description="Of the final test accuracy.")
    std: float | None = Field(description="The sample's; null below two seeds.")
    values: list[float] = Field(description="By seed, in the order of the spec.")
    train_time_s: float | None = Field(description="Mean over seeds of the committed epochs' times.")
    versus_baseline: PairedDifferenceView | None = Field(description="Null for the baseline itself.")
    published: Published | None = Field(None, description="What the paper has for this arm of a preset.")
    choice: ChoiceView | None = Field(None, description="Of a search, which configuration this is; else null.")


class FrontPointView(BaseModel):
    """A configuration that no other beats in both goals."""

    arm: str
    configuration: dict[str, Any]
    chains: list[str] = Field(description="Which chains it is, one a seed.")
    val_accuracy: float = Field(description="Mean over its seeds, a fraction.")
    cost: float = Field(description="Mean over its seeds of the second goal.")
    test_accuracy: float = Field(description="Mean over its seeds of the final test accuracy: reported, not chosen by.")


class FrontView(BaseModel):
    """Of a search with two goals: what is best where both count, over all arms."""

    goal: str = Field(description="The second one, which is to be low.", examples=["val/energy_j", "train_time_s"])
    points: list[FrontPointView] = Field(description="From the cheapest to the most accurate.")


class ComparisonView(BaseModel):
    """How the arms compare, by the chains that have succeeded so far."""

    baseline: str
    preset: str | None = Field(None, description="The preset that the experiment was posted by.")
    source: str | None = Field(None, description="Where the published numbers stand.")
    arms: list[ArmResultView]
    front: FrontView | None = Field(None, description="Of a search with two goals; else null.")


class PlacementView(BaseModel):
    """Whether the cluster, as it is now, has a node on which a trial fits."""

    possible: bool | Literal["unknown"]
    detail: str


class ResolvedArm(BaseModel):
    """An arm with every setting of its stages settled; the seed is the experiment's first."""

    name: str
    stages: list[dict[str, Any]]


class ResolvedSpec(BaseModel):
    """What would run."""

    baseline: str
    seeds: list[int]
    arms: list[ResolvedArm]


class Validation(BaseModel):
    """A spec without faults, and what it would ask for."""

    valid: Literal[True] = True
    num_chains: int
    num_stages: int = Field(description="Stages of all chains.")
    num_trials: int = Field(description="Trials that Ray would run if none had to be repeated: one a stage.")
    placement: PlacementView
    resolved: ResolvedSpec


class VerificationRequest(BaseModel):
    """Which stage is to be replayed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    chain: str = Field(pattern="^[0-9a-f]{1,32}$", description="The chain's id.")
    stage: int = Field(ge=0, le=99, description="Which of its stages, from 0.")


class VerificationView(BaseModel):
    """A replay of a stage, from where it started: does it give the same numbers, and the same weights?"""

    number: int
    chain: str
    stage: int
    state: VerificationState
    reason: str
    created_at: datetime
    finished_at: datetime | None
    result: dict[str, Any] | None = Field(description="What was compared, and the first difference, if there is one.")


class VerificationPage(BaseModel):
    """Verifications of an experiment, oldest first."""

    verifications: list[VerificationView]
    next_cursor: str | None = Field(None, description="Ask with it for the page that follows; None: this is the last.")
