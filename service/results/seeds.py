"""The seeds of an arm: the state of each, whether or not it has a result."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from service.chain_outcomes import ChainOutcome
from service.failures import FailureType
from service.states import WorkState

# The largest number of seeds that a text lists. The text counts the others.
MAX_LISTED = 10
# The state of a seed with several chains is the first of these states that one of its chains has.
_BY_WEIGHT = (
    WorkState.RUNNING,
    WorkState.WAITING,
    WorkState.SUCCEEDED,
    WorkState.FAILED,
    WorkState.CANCELLED,
    WorkState.STOPPED,
)


@dataclass(frozen=True)
class SeedState:
    """The state of an arm at one seed; `failure` is the type of the failure if it has failed."""

    state: WorkState
    failure: FailureType | None = None


@dataclass(frozen=True)
class MissingSeeds:
    """The seeds at which an arm has no result, for the same reason: its state there, and the type of the failure."""

    arm: str
    state: WorkState
    failure: FailureType | None
    seeds: tuple[int, ...]


def seed_states(
    seeds: Iterable[int], chains: Iterable[ChainOutcome], configuration: int | None
) -> dict[int, SeedState]:
    """Return the state of an arm at each seed of the spec.

    Args:
        seeds: All seeds of the spec.
        chains: The chains of the arm.
        configuration: The number of the configuration that stands for the arm. None: no configuration does yet. Then
            the state of a seed follows from all its chains: it has failed once all have ended and one has failed.
    """
    by_seed: dict[int, list[ChainOutcome]] = {}
    for chain in chains:
        if configuration is None or chain.configuration == configuration:
            by_seed.setdefault(chain.seed, []).append(chain)
    return {seed: _state(by_seed.get(seed, [])) for seed in seeds}


def _state(chains: Sequence[ChainOutcome]) -> SeedState:
    states = {WorkState(chain.state): chain for chain in reversed(chains)}
    state = next((each for each in _BY_WEIGHT if each in states), WorkState.WAITING)
    failure = _failure(states[state]) if state is WorkState.FAILED else None
    return SeedState(state, failure)


def _failure(chain: ChainOutcome) -> FailureType | None:
    return next((FailureType(stage.failure["type"]) for stage in chain.stages if stage.failure is not None), None)


def missing_seeds(arm: str, seeds: Mapping[int, SeedState], present: Collection[int]) -> Iterator[MissingSeeds]:
    """Yield the seeds that are not present, grouped by the reason."""
    missing: dict[SeedState, list[int]] = {}
    for seed, state in seeds.items():
        if seed not in present:
            missing.setdefault(state, []).append(seed)
    for state, its_seeds in missing.items():
        yield MissingSeeds(arm, state.state, state.failure, tuple(its_seeds))


def missing_in_words(missing: Iterable[MissingSeeds]) -> str:
    """Return what is missing, in words: "TET failed at seeds 0 and 2 (not_finite)"."""
    return "; ".join(
        f"{each.arm} {_has_become(each.state)} at {seeds_in_words(each.seeds)}"
        + (f" ({each.failure})" if each.failure is not None else "")
        for each in missing
    )


def _has_become(state: WorkState) -> str:
    match state:
        case WorkState.FAILED:
            return "failed"
        case WorkState.CANCELLED | WorkState.STOPPED:
            return f"was {state}"
        case WorkState.WAITING | WorkState.RUNNING:
            return f"is {state}"
        case WorkState.SUCCEEDED:
            return "has no value"
        case _:
            assert_never(state)


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Return seeds in words: "seed 3", "seeds 0, 1 and 4", or the first ten and how many more."""
    listed = [str(seed) for seed in seeds[:MAX_LISTED]]
    if len(seeds) > MAX_LISTED:
        return f"seeds {', '.join(listed)} and {len(seeds) - MAX_LISTED:,} more"
    if len(listed) == 1:
        return f"seed {listed[0]}"
    return f"seeds {', '.join(listed[:-1])} and {listed[-1]}"
