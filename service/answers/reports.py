"""The report of an experiment: its question, its answer, and all that a reader needs to believe and to repeat it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from service.answers.chains import FailureGroupView
from service.answers.comparisons import ComparisonView
from service.answers.experiments import Links
from service.states import ExperimentState


class ReportFormat(StrEnum):
    """A form of a report."""

    HTML = "html"  # one file with everything, for reading, mail and print
    MARKDOWN = "md"  # the tables and the words, for a README or a discussion
    CSV = "csv"  # every value, one a line
    LATEX = "tex"  # the tables, for a paper
    JSON = "json"  # everything but the figures, for programs


class FigureFormat(StrEnum):
    """A form of a figure."""

    SVG = "svg"
    PNG = "png"


class ReportedArmView(BaseModel):
    """An arm, with what its stages do, in words."""

    name: str
    num_parameters: int | None = Field(None, description="Of its network; null if it was not recorded.")
    stages: list[str] = Field(examples=[["train with TET at T=2, 20 epochs", "train with TET at T=4, 5 epochs"]])


class DeviationView(BaseModel):
    """A place at which the experiment deviates from its preset."""

    arm: str | None = Field(description="The arm; null: the whole experiment.")
    place: str
    value: str
    of_preset: str


class FactsView(BaseModel):
    """A record of facts, and the number of stages to which it applies."""

    facts: dict[str, str | int | float | bool]
    num_stages: int


class ReportedChainView(BaseModel):
    """A chain that counts in the answer: its weights by their SHA-256."""

    id: str
    arm: str
    seed: int
    initial_sha256: str | None
    weights_sha256: str | None


class FigureLinkView(BaseModel):
    """A figure, and its address at the API."""

    name: str
    path: str = Field(examples=["/experiments/0198c2f0a5b7d1e2f3a4/figures/learning-curves"])


class FlatnessView(BaseModel):
    """How flat the loss landscape of an arm is."""

    arm: str
    loss: str = Field(examples=["loss_sdt"])
    mean_rise: float | None = Field(
        description="The mean of the loss within half a unit of the trained weights, minus the loss there, over the "
        "seeds; less is flatter. Null if a loss is not finite."
    )
    n: int


class ReportView(BaseModel):
    """The report of an experiment."""

    id: str
    name: str
    description: str
    labels: dict[str, str]
    state: ExperimentState
    reason: str
    generation: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    preset: str | None
    reproduces: str | None = Field(description="The table or figure of the paper that the preset repeats.")
    links: Links
    question: str
    verdicts: list[str] = Field(description="The answer, in words: a sentence for each pair of arms.")
    arms: list[ReportedArmView]
    comparison: ComparisonView = Field(description="The comparison of the test accuracy after the last epoch.")
    further: list[ComparisonView] = Field(description="The comparisons of the other quantities.")
    flatness: list[FlatnessView]
    deviations: list[DeviationView] | None = Field(description="Null if the experiment was posted without a preset.")
    failures: list[FailureGroupView]
    environments: list[FactsView] = Field(description="The different environments in which the chains ran.")
    datasets: list[FactsView] = Field(description="The different data that the chains read.")
    chains: list[ReportedChainView] = Field(description="The chains that count in the answer, at most 1,000.")
    num_chains: int = Field(description="The number of all chains of the experiment.")
    version: str = Field(description="The version of the service that made the report.")
    spec: dict[str, Any] = Field(description="The spec, without its webhook, whose address may be secret.")
    spec_sha256: str = Field(description="SHA-256 of `spec` as JSON with sorted keys and without spaces.")
    command: str = Field(description="The command that runs the spec again, from a file.")
    figures: list[FigureLinkView]
