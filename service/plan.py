"""From a spec to the chains it asks for, each with its stages fully resolved."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from service.search.configurations import configured_arms, searched_spec
from service.spec.blocks import StartPoint
from service.spec.experiment import Arm, Experiment, StageConfig
from service.storage import ExperimentFolder, StageFolder
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
class Origin:
    """A stage of another experiment's chain, whose last checkpoint a chain starts from."""

    experiment: str
    chain: str
    stage: int


@dataclass(frozen=True)
class Chain:
    """One arm x one seed x one set of hyperparameters: stages that run in order, from fresh weights or an origin.

    `number` is that of its configuration among the arm's, from 0. As long as a search has not `proposed` that, it has
    no hyperparameters, and its stages are as the spec has them; see `with_configuration`.
    """

    id: str
    arm: str
    seed: int
    stages: tuple[StagePlan, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    number: int = 0
    proposed: bool = True

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


def previous_stage(folder: ExperimentFolder, chain: Chain, index: int) -> StageFolder | None:
    """What a stage goes on from, or looks at: a stage of its own chain, or of the one that it was forked from.

    Args:
        folder: The experiment's.
        chain: The chain.
        index: Which of its stages.

    Returns:
        The stage's folder; None where it starts from fresh weights.
    """
    before = chain.train_before(index)
    if before is not None:
        return folder.stage(chain.id, before)
    if chain.origin is None:
        return None
    parent = ExperimentFolder(folder.storage, chain.origin.experiment)
    return parent.stage(chain.origin.chain, chain.origin.stage)


def plan(spec: Experiment) -> tuple[Chain, ...]:
    """Every chain of an experiment, seed by seed, so that the arms of one seed come side by side.

    Of a search, so come the arms' first configurations, over all seeds, then their second ones.

    Args:
        spec: a spec that `service.spec.experiment.parse` accepted.

    Returns:
        One chain for each seed and arm, and each configuration of a search.
    """
    # A stage is settled once for each arm and configuration: their seeds differ in nothing else, and a spec may ask for
    # 100,000 chains.
    arms = [
        [_Configured(arm, number, own.values, _stages(arm, own.stages)) for number, own in enumerate(configured)]
        for arm, configured in zip(spec.arms, configured_arms(spec), strict=True)
    ]
    rounds = zip_longest(*arms)
    return tuple(
        _chain(each, seed) for of_arms in rounds for seed in spec.seeds for each in of_arms if each is not None
    )


def with_configuration(spec: Experiment, chain: Chain, values: Mapping[str, Any]) -> Chain:
    """A chain whose configuration a search has now proposed.

    Raises:
        SpecInvalid: The spec refuses the values.
    """
    index = next(index for index, arm in enumerate(spec.arms) if arm.name == chain.arm)
    stages = _stages(spec.arms[index], searched_spec(spec).configured(index, values).stages)
    seeded = tuple(replace(stage, config=_seeded(stage.config, chain.seed)) for stage in stages)
    return replace(chain, stages=seeded, hyperparameters=values, proposed=True)


@dataclass(frozen=True)
class _Configured:
    """An arm in one of its configurations; it has no values yet where they are to be proposed."""

    arm: Arm
    number: int
    values: Mapping[str, Any] | None
    stages: tuple[StagePlan, ...]

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells it from the arm's others, from the beginning to the end."""
        return {"search.number": self.number} if self.values is None else self.values


def _stages(arm: Arm, configs: Sequence[StageConfig]) -> tuple[StagePlan, ...]:
    numbered = enumerate(zip(arm.stages, configs, strict=True))
    return tuple(StagePlan(index, stage.kind, config) for index, (stage, config) in numbered)


def _chain(of: _Configured, seed: int) -> Chain:
    seeded = tuple(replace(stage, config=_seeded(stage.config, seed)) for stage in of.stages)
    return Chain(
        chain_id(of.arm.name, seed, of.identity),
        of.arm.name,
        seed,
        seeded,
        of.values or {},
        _origin(of.arm.start, seed),
        of.number,
        of.values is not None,
    )


def _origin(start: StartPoint | None, seed: int) -> Origin | None:
    if start is None:
        return None
    assert start.arm is not None, "the service settles every arm's start before it plans"
    assert start.stage is not None
    return Origin(start.experiment, chain_id(start.arm, seed, {}), start.stage)


def _seeded(config: StageConfig, seed: int) -> StageConfig:
    if isinstance(config, TrainConfig):
        return config.model_copy(update={"seed": seed})
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
