"""The answer about a spec that would run."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class PlacementView(BaseModel):
    """Whether the cluster, as it is now, has a node that is large enough for a trial."""

    possible: bool | Literal["unknown"]
    detail: str


class ResolvedArm(BaseModel):
    """An arm with every setting of its stages; the seed is the experiment's first."""

    name: str
    stages: list[dict[str, Any]]


class ResolvedSpec(BaseModel):
    """A spec with every setting of every stage."""

    baseline: str
    seeds: list[int]
    arms: list[ResolvedArm]


class ValidatedSpec(BaseModel):
    """A spec without faults, and what it would ask of the cluster."""

    valid: Literal[True] = True
    num_chains: int
    num_stages: int = Field(description="Number of stages of all chains.")
    num_trials: int = Field(
        description="Number of trials that Ray would run if none had to be repeated: one for each stage."
    )
    placement: PlacementView
    resolved: ResolvedSpec
