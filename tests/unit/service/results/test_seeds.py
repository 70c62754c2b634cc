"""Tests of the state of an arm at each seed."""

import pytest

from service.chain_outcomes import ChainOutcome, StageOutcome
from service.failures import FailureType
from service.results.seeds import SeedState, seed_states, seeds_in_words
from service.states import WorkState


def row(seed: int, state: WorkState, configuration: int = 0, failure: str | None = None) -> ChainOutcome:
    stage = StageOutcome(0, "train", state, 0.0, None, None if failure is None else {"type": failure}, None, {})
    return ChainOutcome("c", "TET", seed, configuration, state, {}, [stage])


def test_a_seed_has_the_state_of_its_chain_in_the_configuration_that_is_shown() -> None:
    chains = [
        row(0, WorkState.SUCCEEDED, configuration=1),
        row(1, WorkState.FAILED, configuration=1, failure="health"),
        row(0, WorkState.FAILED, configuration=0, failure="health"),
    ]
    states = seed_states([0, 1, 2], chains, 1)
    assert states == {
        0: SeedState(WorkState.SUCCEEDED),
        1: SeedState(WorkState.FAILED, FailureType.HEALTH),
        2: SeedState(WorkState.WAITING),
    }


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((WorkState.FAILED, WorkState.RUNNING), WorkState.RUNNING),
        ((WorkState.STOPPED, WorkState.WAITING), WorkState.WAITING),
        ((WorkState.STOPPED, WorkState.FAILED), WorkState.FAILED),
        ((WorkState.STOPPED, WorkState.CANCELLED), WorkState.CANCELLED),
        ((WorkState.STOPPED, WorkState.STOPPED), WorkState.STOPPED),
    ],
)
def test_without_a_choice_a_seed_is_lost_once_all_of_its_chains_are(
    states: tuple[WorkState, ...], expected: WorkState
) -> None:
    chains = [row(0, state, configuration=number) for number, state in enumerate(states)]
    assert seed_states([0], chains, None)[0].state is expected


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([3], "seed 3"),
        ([0, 2], "seeds 0 and 2"),
        ([0, 2, 5], "seeds 0, 2 and 5"),
        (list(range(1_012)), "seeds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,002 more"),
    ],
)
def test_seeds_are_listed_up_to_ten(seeds: list[int], words: str) -> None:
    assert seeds_in_words(seeds) == words
