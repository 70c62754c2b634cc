"""From a spec to its chains, each with its stages fully resolved."""

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
    """One stage of a chain: its kind, and the configuration it runs with."""

    index: int
    kind: str
    config: StageConfig

    @property
    def is_train(self) -> bool:
        """Whether the stage changes the network; an analysis only reads it."""
        return isinstance(self.config, TrainConfig)


@dataclass(frozen=True)
class Origin:
    """A stage of another experiment's chain, from whose last checkpoint a chain starts."""

    experiment: str
    chain: str
    stage: int


@dataclass(frozen=True)
class Chain:
    """One arm x one seed x one configuration: stages that run in order, from fresh weights or an origin.

    `number` is the number of its configuration within the arm, from 0. Until a search has proposed the configuration
    (`proposed`), the chain has no hyperparameters, and its stages are as in the spec; see `with_configuration`.
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
        """Return the index of the train stage that a stage continues or analyses; None if there is none."""
        return max((stage.index for stage in self.stages[:index] if stage.is_train), default=None)

    @property
    def train_stages(self) -> tuple[StagePlan, ...]:
        """The stages that change the network; the last one gives the chain's results."""
        return tuple(stage for stage in self.stages if stage.is_train)


def chain_id(arm: str, seed: int, hyperparameters: Mapping[str, Any]) -> str:
    """Return the chain's id: 16 hex digits of a hash of arm, seed and hyperparameters."""
    identity = json.dumps([arm, seed, dict(hyperparameters)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def previous_stage(folder: ExperimentFolder, chain: Chain, index: int) -> StageFolder | None:
    """Return the folder of the stage that a stage continues or analyses, in its own chain or the one it forked from.

    Args:
        folder: The folder of the experiment.
        chain: The chain.
        index: The index of the stage in the chain.

    Returns:
        The folder; None if the stage starts from fresh weights.
    """
    previous = chain.train_before(index)
    if previous is not None:
        return folder.stage(chain.id, previous)
    if chain.origin is None:
        return None
    parent = ExperimentFolder(folder.storage, chain.origin.experiment)
    return parent.stage(chain.origin.chain, chain.origin.stage)


def plan(spec: Experiment) -> tuple[Chain, ...]:
    """Return every chain of an experiment, seed by seed, so that the arms of one seed are next to each other.

    In a search the first configuration of each arm comes first, over all seeds, then the second one, and so on.

    Args:
        spec: A spec that `service.spec.experiment.parse` accepted.

    Returns:
        One chain for each seed, arm and configuration.
    """
    # Resolve the stages once for each arm and configuration, not for each seed: a spec may have 100,000 chains.
    arms = [
        [
            _Configured(arm, number, configuration.values, _stages(arm, configuration.stages))
            for number, configuration in enumerate(configurations)
        ]
        for arm, configurations in zip(spec.arms, configured_arms(spec), strict=True)
    ]
    rounds = zip_longest(*arms)
    return tuple(
        _chain(configured_arm, seed)
        for of_arms in rounds
        for seed in spec.seeds
        for configured_arm in of_arms
        if configured_arm is not None
    )


def with_configuration(spec: Experiment, chain: Chain, values: Mapping[str, Any]) -> Chain:
    """Return a chain with the configuration that a search has proposed for it.

    Raises:
        SpecInvalid: The spec has faults with these values.
    """
    index = next(index for index, arm in enumerate(spec.arms) if arm.name == chain.arm)
    stages = _stages(spec.arms[index], searched_spec(spec).configured(index, values).stages)
    seeded = tuple(replace(stage, config=_seeded(stage.config, chain.seed)) for stage in stages)
    return replace(chain, stages=seeded, hyperparameters=values, proposed=True)


@dataclass(frozen=True)
class _Configured:
    """An arm in one of its configurations; `values` is None until a search has proposed them."""

    arm: Arm
    number: int
    values: Mapping[str, Any] | None
    stages: tuple[StagePlan, ...]

    @property
    def identity(self) -> Mapping[str, Any]:
        """The values of the configuration, or its number until it has values; unique within the arm."""
        return {"search.number": self.number} if self.values is None else self.values


def _stages(arm: Arm, configs: Sequence[StageConfig]) -> tuple[StagePlan, ...]:
    numbered = enumerate(zip(arm.stages, configs, strict=True))
    return tuple(StagePlan(index, stage.kind, config) for index, (stage, config) in numbered)


def _chain(configured_arm: _Configured, seed: int) -> Chain:
    seeded = tuple(replace(stage, config=_seeded(stage.config, seed)) for stage in configured_arm.stages)
    return Chain(
        chain_id(configured_arm.arm.name, seed, configured_arm.identity),
        configured_arm.arm.name,
        seed,
        seeded,
        configured_arm.values or {},
        _origin(configured_arm.arm.start, seed),
        configured_arm.number,
        configured_arm.values is not None,
    )


def _origin(start: StartPoint | None, seed: int) -> Origin | None:
    if start is None:
        return None
    assert start.arm is not None, "the service completes every arm's start before it plans"
    assert start.stage is not None
    return Origin(start.experiment, chain_id(start.arm, seed, {}), start.stage)


def _seeded(config: StageConfig, seed: int) -> StageConfig:
    if isinstance(config, TrainConfig):
        return config.model_copy(update={"seed": seed})
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
