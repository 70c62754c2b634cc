"""The progress of an experiment and the time left, from the answer of `GET /experiments/{id}`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from service.answers.chains import ArmSearchView, ChainView, StageView
from service.answers.chances import AgainstChance, ChanceView
from service.answers.experiments import ExperimentView
from service.pace import duration
from service.search.wording import in_few_digits
from service.states import DONE, WorkState
from service.times import for_people
from service.titles import chain_title, stage_title

# The order in which the states of a search's configurations are printed.
_COUNTED_STATES = (
    WorkState.SUCCEEDED,
    WorkState.STOPPED,
    WorkState.FAILED,
    WorkState.CANCELLED,
    WorkState.RUNNING,
)


@dataclass(frozen=True)
class ChainProgress:
    """The progress of one chain. Work is epochs times T, because an epoch at T steps takes about T times as long."""

    id: str
    arm: str  # with the values of its configuration in a search
    seed: int
    state: WorkState
    stage: str
    epoch: str
    accuracy: float | None
    chance: ChanceView | None  # the accuracy against chance; None if it is not known
    reason: str  # why it was stopped; empty if it was not
    work_done: int
    work_total: int

    @property
    def ended(self) -> bool:
        """Whether the chain has ended."""
        return self.state in DONE

    @classmethod
    def of(cls, chain: ChainView) -> "ChainProgress":
        """Return the progress of a chain."""
        stages = chain.stages
        at = next((stage for stage in stages if stage.state not in DONE), stages[-1])
        measured = next((each for each in reversed(stages) if each.kind == "train" and each.metrics), None)
        return cls(
            id=chain.id,
            arm=_arm_name(chain),
            seed=chain.seed,
            state=chain.state,
            stage=f"{at.index + 1}/{len(stages)} ({_kind(at)})",
            epoch=f"{at.epoch}/{at.epochs}",
            accuracy=None if measured is None else measured.metrics.get("test/accuracy"),
            chance=None if measured is None else measured.chance,
            reason=chain.reason,
            work_done=sum(stage.epoch * (stage.T or 1) for stage in stages),
            work_total=sum(stage.epochs * (stage.T or 1) for stage in stages),
        )


@dataclass(frozen=True)
class StoppedConfiguration:
    """A configuration that was stopped, and the reason, which all of its seeds share."""

    arm: str
    reason: str
    seeds: tuple[int, ...]


@dataclass
class StoppedConfigurations:
    """The stopped configurations, in the order in which they were first seen: nearly the order of their stops."""

    # By arm and reason: the seed of each chain.
    _seen: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)

    def see(self, chains: Iterable[ChainProgress]) -> None:
        """Add the chains that were stopped."""
        for chain in chains:
            if chain.state is WorkState.STOPPED:
                self._seen.setdefault((chain.arm, chain.reason), {})[chain.id] = chain.seed

    def newest(self, count: int) -> list[StoppedConfiguration]:
        """Return the last `count` stopped configurations, the newest first."""
        return [*islice(reversed(self.all()), count)]

    def all(self) -> list[StoppedConfiguration]:
        """Return all stopped configurations, the oldest first."""
        return [StoppedConfiguration(arm, reason, tuple(seeds.values())) for (arm, reason), seeds in self._seen.items()]


def stage_name(chain: ChainView, stage: StageView) -> str:
    """Return a stage's name for people, as MLflow and Ray's dashboard show it."""
    title = chain_title(chain.arm, chain.seed, chain.configuration)
    return stage_title(title, stage.index, len(chain.stages), stage.kind, stage.T)


def configuration_text(values: Mapping[str, Any]) -> str:
    """Return the values of a configuration in one line."""
    return ", ".join(in_few_digits(values))


def at_chance(experiment: ExperimentView) -> list[str]:
    """Return a line for each arm with chains that are no better than chance, and for each of their chance levels."""
    levels: dict[tuple[str, str], int] = {}
    for row in map(ChainProgress.of, experiment.chains):
        if row.chance is not None and row.chance.verdict is not AgainstChance.ABOVE:
            level = f"{100 * row.chance.level:.2f} % of {row.chance.num_samples:,} test samples"
            levels[row.arm, level] = levels.get((row.arm, level), 0) + 1
    return [
        f"{arm}: {count} chain(s) with a test accuracy that is not above chance, {level}, by its 95 % interval"
        for (arm, level), count in levels.items()
    ]


def _arm_name(chain: ChainView) -> str:
    """Return the arm's name, with the values of its configuration in a search."""
    values = configuration_text(chain.configuration)
    return f"{chain.arm} ({values})" if values else chain.arm


def _kind(stage: StageView) -> str:
    return f"T={stage.T}" if stage.kind == "train" else stage.kind


def counted(experiment: ExperimentView) -> str:
    """Return the progress of the experiment: "5/40 epochs", and "3/21 rows" if there are analyses."""
    overall = experiment.progress
    counts = (
        ("epochs", overall.epochs_done, overall.epochs_total),
        ("rows", overall.rows_done, overall.rows_total),
    )
    return ", ".join(f"{done}/{total} {unit}" for unit, done, total in counts if total)


def searches(experiment: ExperimentView) -> list[str]:
    """Return a line on the search of each arm that has several configurations; none without a search."""
    if experiment.search is None:
        return []
    return [_search_line(arm) for arm in experiment.search.arms if arm.num_configurations > 1]


def _search_line(arm: ArmSearchView) -> str:
    ended = sum(count for state, count in arm.states.items() if state in DONE)
    counts = [f"{count} {state}" for state in _COUNTED_STATES if (count := arm.states.get(state))]
    line = f"{arm.name}: {ended}/{arm.num_configurations} configurations ended"
    line += (f" ({', '.join(counts)})" if counts else "") + f", {duration(arm.train_time_s)} of training"
    best = arm.best
    if best is None:
        return line
    word, values = "best" if best.complete else "ahead", configuration_text(best.configuration)
    return f"{line}; {word} so far: {best.val_accuracy:.2%} on validation, {values}"


def ends_at(experiment: ExperimentView) -> str | None:
    """Return when a search is expected to end; None while that is unknown."""
    if experiment.search is None or experiment.search.expected_end is None:
        return None
    return f"expected to end at {for_people(experiment.search.expected_end)}"
