"""The plan of an experiment: the chains of its spec, each with its stages fully resolved."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from service.search.configurations import ConfiguredArm, configured_arms, searched_spec
from service.spec.blocks import StartPoint
from service.spec.budgets import Budgets
from service.spec.experiment import Arm, Experiment, StageConfig
from service.storage import ExperimentFolder, StageFolder
from tet_core.config import TrainConfig


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage of a chain.

    Attributes:
        index: Its index in the chain, from 0.
        kind: "train", or the kind of the analysis.
        of_all_seeds: Its config. All of it holds for this chain except the seed, which may be another chain's. All
            seeds share this object: a copy for each of 100,000 chains would take 350 MB.
        seed: The chain's seed; None: that of `of_all_seeds`.
    """

    index: int
    kind: str
    of_all_seeds: StageConfig
    seed: int | None = None

    @property
    def config(self) -> StageConfig:
        """The config that the stage runs with. Each access makes it again."""
        return self.of_all_seeds if self.seed is None else _seeded(self.of_all_seeds, self.seed)

    @property
    def T(self) -> int | None:
        """Its number of time steps; None if an analysis varies it."""
        return self.of_all_seeds.T

    @property
    def epochs(self) -> int:
        """Its number of epochs, or of rows of an analysis."""
        return self.of_all_seeds.epochs

    @property
    def is_train(self) -> bool:
        """Whether the stage changes the network; an analysis only reads it."""
        return isinstance(self.of_all_seeds, TrainConfig)


@dataclass(frozen=True, slots=True)
class Origin:
    """A stage of another experiment's chain, from whose last checkpoint a chain starts."""

    experiment: str
    chain: str
    stage: int


@dataclass(frozen=True, slots=True)
class Chain:
    """One arm x one seed x one configuration: stages that run in order, from fresh weights or an origin.

    `number` is the number of its configuration within the arm, from 0. Until a search has proposed the configuration
    (`proposed` is False), the chain has no hyperparameters, and its stages are those of the spec; see
    `with_configuration`.
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
    return ChainIds(arm, hyperparameters).at(seed)


class ChainIds:
    """The ids of the chains of one arm and configuration, by seed: faster than `chain_id` for many seeds."""

    def __init__(self, arm: str, hyperparameters: Mapping[str, Any]) -> None:
        name, values = (json.dumps(each, sort_keys=True) for each in (arm, dict(hyperparameters)))
        self._start, self._end = hashlib.sha256(f"[{name}, ".encode()), f", {values}]".encode()

    def at(self, seed: int) -> str:
        """Return the id at a seed: the first 16 hex digits of the hash of `[arm, seed, values]` as JSON."""
        digest = self._start.copy()
        digest.update(b"%d%b" % (seed, self._end))
        return digest.hexdigest()[:16]


def previous_stage(folder: ExperimentFolder, chain: Chain, index: int) -> StageFolder | None:
    """Return the folder of the stage that a stage continues or analyses.

    It is a stage of the same chain, or of the chain from which this chain was forked.

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


@dataclass(frozen=True)
class Plan:
    """The chains of an experiment, stored as arms with their configurations; iteration makes one chain at a time.

    A plan holds no object for each chain, so it is small and can be sent to another process.
    """

    seeds: tuple[int, ...]
    arms: tuple[tuple["_Configured", ...], ...]

    def __iter__(self) -> Iterator[Chain]:
        """Yield every chain in the order of `plan`."""
        of_configurations = [
            [_OfSeeds(configured) for configured in of_arms if configured is not None]
            for of_arms in zip_longest(*self.arms)
        ]
        return (each.chain(seed) for of_arms in of_configurations for seed in self.seeds for each in of_arms)

    def __len__(self) -> int:
        """Return the number of chains."""
        return len(self.seeds) * sum(map(len, self.arms))

    @property
    def num_stages(self) -> int:
        """The number of stages of all chains."""
        return len(self.seeds) * sum(len(configured.stages) for arm in self.arms for configured in arm)


def planned(spec: Experiment, budgets: Budgets | None = None) -> Plan:
    """Return the plan of an experiment: a pure function of the spec.

    Args:
        spec: A spec that `service.spec.experiment.parse` accepted.
        budgets: What the plan may cost; this is checked before any configuration is computed. None for a stored spec,
            which was checked when it was posted: no limits apply.

    Raises:
        SpecInvalid: The plan would exceed a budget, or the search cannot be run; the error holds every fault that was
            found.
    """
    # Stages are resolved once for each arm and configuration, not for each seed.
    arms = zip(spec.arms, configured_arms(spec, budgets), strict=True)
    return Plan(spec.all_seeds, tuple(_numbered(arm, configurations) for arm, configurations in arms))


def plan(spec: Experiment) -> tuple[Chain, ...]:
    """Return every chain of an experiment, seed by seed, so that the arms of one seed are next to each other.

    In a search the first configuration of each arm comes first, over all seeds, then the second one, and so on.

    Args:
        spec: A spec that `service.spec.experiment.parse` accepted.

    Returns:
        One chain for each seed, arm and configuration.
    """
    return tuple(planned(spec))


def with_configuration(spec: Experiment, chain: Chain, values: Mapping[str, Any]) -> Chain:
    """Return a chain with the configuration that a search has proposed for it.

    Raises:
        SpecInvalid: The spec has faults with these values.
    """
    index = next(index for index, arm in enumerate(spec.arms) if arm.name == chain.arm)
    stages = _stages(spec.arms[index], searched_spec(spec).configured(index, values))
    seeded = tuple(replace(stage, seed=chain.seed) for stage in stages)
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


def _numbered(arm: Arm, configurations: tuple[ConfiguredArm, ...]) -> tuple[_Configured, ...]:
    return tuple(
        _Configured(arm, number, configuration.values, _stages(arm, configuration))
        for number, configuration in enumerate(configurations)
    )


def _stages(arm: Arm, configuration: ConfiguredArm) -> tuple[StagePlan, ...]:
    numbered = enumerate(zip(arm.stages, configuration.stages, strict=True))
    return tuple(StagePlan(index, stage.kind, config) for index, (stage, config) in numbered)


class _OfSeeds:
    """The chains of one configuration: all that its seeds share is computed once."""

    def __init__(self, configured: _Configured) -> None:
        self._configured = configured
        self._values = configured.values or {}
        self._id = ChainIds(configured.arm.name, configured.identity)
        start = configured.arm.start
        self._origin_id = None if start is None else ChainIds(_arm_of(start), {})

    def chain(self, seed: int) -> Chain:
        """Return the chain of a seed."""
        configured = self._configured
        return Chain(
            self._id.at(seed),
            configured.arm.name,
            seed,
            tuple(StagePlan(each.index, each.kind, each.of_all_seeds, seed) for each in configured.stages),
            self._values,
            self._origin(seed),
            configured.number,
            configured.values is not None,
        )

    def _origin(self, seed: int) -> Origin | None:
        start = self._configured.arm.start
        if start is None or self._origin_id is None:
            return None
        assert start.stage is not None, "the service completes every arm's start before it plans"
        return Origin(start.experiment, self._origin_id.at(seed), start.stage)


def _arm_of(start: StartPoint) -> str:
    assert start.arm is not None, "the service completes every arm's start before it plans"
    return start.arm


def _seeded(config: StageConfig, seed: int) -> StageConfig:
    if isinstance(config, TrainConfig):
        return config.model_copy(update={"seed": seed})
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
