"""The answer about a spec without faults."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class PlacementView(BaseModel):
    """Whether a trial fits on the nodes that the cluster has now."""

    possible: bool | Literal["unknown"]
    detail: str


class ResolvedArm(BaseModel):
    """An arm with every setting of its stages except the seed."""

    name: str
    stages: list[dict[str, Any]]


class ResolvedSpec(BaseModel):
    """A spec with every setting of every stage; the seeds are listed once."""

    baseline: str
    seeds: list[int]
    arms: list[ResolvedArm]


class NoteView(BaseModel):
    """A remark about a field of a spec, which is no fault: what is left out, or what only a node can check."""

    field: str
    pointer: str
    detail: str


class ValidatedSpec(BaseModel):
    """A spec without faults, and the number of chains, stages and trials that it would run."""

    valid: Literal[True] = True
    num_chains: int
    num_stages: int = Field(description="Number of stages of all chains.")
    num_trials: int = Field(
        description="Number of trials that Ray would run if none had to be repeated: one for each stage."
    )
    placement: PlacementView
    notes: list[NoteView] = Field(
        [], description="Remarks that are no faults: files that a data set leaves out, and what only a node can check."
    )
    resolved: ResolvedSpec
