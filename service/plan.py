"""From a spec to the chains it asks for, each with its stages fully resolved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.spec import Experiment, resolve_stage
from tet_core.config import TrainConfig


@dataclass(frozen=True)
class StagePlan:
    """One step of a chain: what kind it is, and the configuration it runs with."""

    index: int
    kind: str
    config: TrainConfig


@dataclass(frozen=True)
class Chain:
    """One arm x one seed x one set of hyperparameters: stages that run in order."""

    id: str
    arm: str
    seed: int
    stages: tuple[StagePlan, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


def chain_id(arm: str, seed: int, hyperparameters: Mapping[str, Any]) -> str:
    """The chain's id: 16 hex digits of a hash of what makes it what it is."""
    identity = json.dumps([arm, seed, dict(hyperparameters)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def plan(spec: Experiment) -> tuple[Chain, ...]:
    """Every chain of an experiment, seed by seed, so that the arms of one seed come side by side.

    Args:
        spec: a spec that `service.spec.parse` accepted.

    Returns:
        One chain for each seed and arm.
    """
    return tuple(_chain(spec, arm_index, seed) for seed in spec.seeds for arm_index in range(len(spec.arms)))


def _chain(spec: Experiment, arm_index: int, seed: int) -> Chain:
    arm = spec.arms[arm_index]
    stages = tuple(
        StagePlan(index, stage.kind, resolve_stage(spec, arm_index, index, seed))
        for index, stage in enumerate(arm.stages)
    )
    return Chain(chain_id(arm.name, seed, {}), arm.name, seed, stages)
