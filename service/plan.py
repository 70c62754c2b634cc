"""From a spec to the chains it asks for, each with its stages fully resolved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from service.spec import Experiment, StageConfig, resolve_stage
from tet_core.config import TrainConfig


@dataclass(frozen=True)
class StagePlan:
    """One step of a chain: what kind it is, and the configuration it runs with."""

    index: int
    kind: str
    config: StageConfig

    @property
    def is_train(self) -> bool:
        """Whether it changes the network; an analysis only looks at it."""
        return isinstance(self.config, TrainConfig)


@dataclass(frozen=True)
class Chain:
    """One arm x one seed x one set of hyperparameters: stages that run in order."""

    id: str
    arm: str
    seed: int
    stages: tuple[StagePlan, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def train_before(self, index: int) -> int | None:
        """Index of the last train stage before a stage: what it inherits from, or analyses; None if there is none."""
        return max((stage.index for stage in self.stages[:index] if stage.is_train), default=None)

    @property
    def train_stages(self) -> tuple[StagePlan, ...]:
        """The stages that change the network; the chain's results are those of the last of them."""
        return tuple(stage for stage in self.stages if stage.is_train)


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
    # A stage is settled once for each arm: its seeds differ in nothing else, and a spec may ask for 100,000 chains.
    arms = [(arm.name, _stages(spec, arm_index)) for arm_index, arm in enumerate(spec.arms)]
    return tuple(_chain(name, stages, seed) for seed in spec.seeds for name, stages in arms)


def _stages(spec: Experiment, arm_index: int) -> tuple[StagePlan, ...]:
    return tuple(
        StagePlan(index, stage.kind, resolve_stage(spec, arm_index, index, spec.seeds[0]))
        for index, stage in enumerate(spec.arms[arm_index].stages)
    )


def _chain(arm: str, stages: tuple[StagePlan, ...], seed: int) -> Chain:
    seeded = tuple(replace(stage, config=_seeded(stage.config, seed)) for stage in stages)
    return Chain(chain_id(arm, seed, {}), arm, seed, seeded)


def _seeded(config: StageConfig, seed: int) -> StageConfig:
    if isinstance(config, TrainConfig):
        return config.model_copy(update={"seed": seed})
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
