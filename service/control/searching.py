"""How far a search is: what of each arm has ended and how, what is best so far, and when all of it will have ended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

from service.spec_search import ACCURACY
from service.states import DONE, WorkState
from service.store.tables import ChainRow


@dataclass(frozen=True)
class Best:
    """The best configuration of an arm so far, and its validation accuracy: a mean over the seeds that are there.

    As long as none is `complete`, at every seed, it is the one that is ahead of the others.
    """

    configuration: Mapping[str, Any]
    val_accuracy: float
    chains: tuple[str, ...]
    complete: bool


@dataclass(frozen=True)
class ArmSearch:
    """The search of one arm: how many of its configurations are in each state, and what they took so far."""

    name: str
    num_configurations: int
    states: Mapping[WorkState, int]
    train_time_s: float
    best: Best | None


@dataclass(frozen=True)
class _Configuration:
    chains: Sequence[ChainRow]

    @property
    def state(self) -> WorkState:
        """What its chains come to together."""
        states = {WorkState(chain.state) for chain in self.chains}
        for state in (WorkState.STOPPED, WorkState.FAILED, WorkState.CANCELLED):
            if state in states:
                return state
        if len(states) == 1:
            return states.pop()
        return WorkState.RUNNING

    @property
    def val_accuracy(self) -> float | None:
        """Of what its chains have come to."""
        newest = [_newest(chain, ACCURACY) for chain in self.chains]
        known = [value for value in newest if value is not None]
        return fmean(known) if known else None

    @property
    def work(self) -> int:
        """Epochs times T that are done; an epoch takes about T times as long at T steps."""
        return sum(stage.epoch * (stage.T or 1) for chain in self.chains for stage in chain.stages)

    @property
    def whole_work(self) -> int:
        """Those of all its stages."""
        return sum(stage.epochs * (stage.T or 1) for chain in self.chains for stage in chain.stages)


def _newest(chain: ChainRow, metric: str) -> float | None:
    return next((stage.metrics[metric] for stage in reversed(chain.stages) if metric in stage.metrics), None)


def progress(arms: Sequence[str], chains: Iterable[ChainRow]) -> list[ArmSearch]:
    """How far the search of each arm is."""
    by_arm = _by_arm(chains)
    return [_arm(name, by_arm.get(name, [])) for name in arms]


def expected_end(chains: Iterable[ChainRow], started: datetime, now: datetime) -> datetime | None:
    """When the last configuration will have ended, if it goes on as so far; None where there is nothing to tell it by.

    What has not ended is taken to take what the arm's configurations that have ended took on average: with early
    stopping, less than all their epochs.
    """
    by_arm = _by_arm(chains).values()
    done = sum(each.work for of_arm in by_arm for each in of_arm)
    if not done or now <= started:
        return None
    left = sum(map(_work_left, by_arm))
    try:
        return now + (now - started) * (left / done)
    except OverflowError:  # beyond the calendar
        return None


def _work_left(of_arm: Sequence[_Configuration]) -> float:
    ended = [each.work for each in of_arm if each.state in DONE]
    usual = fmean(ended) if ended else None
    going_on = [each for each in of_arm if each.state not in DONE]
    return sum(max((each.whole_work if usual is None else usual) - each.work, 0.0) for each in going_on)


def _by_arm(chains: Iterable[ChainRow]) -> dict[str, list[_Configuration]]:
    found: dict[str, dict[int, list[ChainRow]]] = {}
    for chain in chains:
        found.setdefault(chain.arm, {}).setdefault(chain.configuration, []).append(chain)
    return {arm: [_Configuration(of) for of in numbered.values()] for arm, numbered in found.items()}


def _arm(name: str, configurations: Sequence[_Configuration]) -> ArmSearch:
    states = Counter(each.state for each in configurations)
    complete = _measured(each for each in configurations if each.state is WorkState.SUCCEEDED)
    going_on = _measured(each for each in configurations if each.state not in DONE)
    best = max(complete or going_on, key=lambda each: each[0], default=None)
    time_s = sum(stage.train_time_s for of in configurations for chain in of.chains for stage in chain.stages)
    return ArmSearch(name, len(configurations), states, time_s, None if best is None else _best(*best, bool(complete)))


def _measured(configurations: Iterable[_Configuration]) -> list[tuple[float, _Configuration]]:
    return [(value, each) for each in configurations if (value := each.val_accuracy) is not None]


def _best(value: float, configuration: _Configuration, complete: bool) -> Best:
    ids = tuple(chain.id for chain in configuration.chains)
    return Best(configuration.chains[0].hyperparameters, value, ids, complete)
