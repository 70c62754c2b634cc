"""How far a search is: what of each arm has ended and how, what is best so far, and when all of it will have ended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from service.states import DONE, WorkState
from service.store.sums import ConfigurationTotals


@dataclass(frozen=True)
class Best:
    """The best configuration of an arm so far, by its number, and its validation accuracy: a mean over its seeds.

    As long as none is `complete`, at every seed, it is the one that is ahead of the others.
    """

    number: int
    val_accuracy: float
    complete: bool


@dataclass(frozen=True)
class ArmSearch:
    """The search of one arm: how many of its configurations are in each state, and what they took so far."""

    name: str
    num_configurations: int
    states: Mapping[WorkState, int]
    train_time_s: float
    best: Best | None


def progress(arms: Sequence[str], configurations: Iterable[ConfigurationTotals]) -> list[ArmSearch]:
    """How far the search of each arm is."""
    by_arm = _by_arm(configurations)
    return [_arm(name, by_arm.get(name, [])) for name in arms]


def expected_end(
    configurations: Iterable[ConfigurationTotals], since: datetime, work_then: int, now: datetime
) -> datetime | None:
    """When the last configuration will have ended, if it goes on as so far; None where there is nothing to tell it by.

    What has not ended is taken to take what the arm's configurations that have ended took on average: with early
    stopping, less than all their epochs.

    Args:
        configurations: those of all arms.
        since: the begin of what is called so far: it has run at a stretch since then.
        work_then: how much had been done before, in epochs times T.
        now: what time it is.
    """
    by_arm = _by_arm(configurations).values()
    done = sum(each.work_done for of_arm in by_arm for each in of_arm) - work_then
    if done <= 0 or now <= since:
        return None
    left = sum(map(_work_left, by_arm))
    try:
        return now + (now - since) * (left / done)
    except OverflowError:  # beyond the calendar
        return None


def _work_left(of_arm: Sequence[ConfigurationTotals]) -> float:
    ended = [each.work_done for each in of_arm if _state(each) in DONE]
    usual = fmean(ended) if ended else None
    going_on = [each for each in of_arm if _state(each) not in DONE]
    return sum(max((each.work_total if usual is None else usual) - each.work_done, 0.0) for each in going_on)


def _by_arm(configurations: Iterable[ConfigurationTotals]) -> dict[str, list[ConfigurationTotals]]:
    found: dict[str, list[ConfigurationTotals]] = {}
    for each in configurations:
        found.setdefault(each.arm, []).append(each)
    return found


def _state(configuration: ConfigurationTotals) -> WorkState:
    """What its chains come to together."""
    for state in (WorkState.STOPPED, WorkState.FAILED, WorkState.CANCELLED):
        if state in configuration.states:
            return state
    return next(iter(configuration.states)) if len(configuration.states) == 1 else WorkState.RUNNING


def _arm(name: str, configurations: Sequence[ConfigurationTotals]) -> ArmSearch:
    states = Counter(map(_state, configurations))
    complete = _measured(each for each in configurations if _state(each) is WorkState.SUCCEEDED)
    going_on = _measured(each for each in configurations if _state(each) not in DONE)
    best = max(complete or going_on, key=lambda each: each.val_accuracy, default=None)
    return ArmSearch(name, len(configurations), states, sum(each.train_time_s for each in configurations), best)


def _measured(configurations: Iterable[ConfigurationTotals]) -> list[Best]:
    complete = frozenset({WorkState.SUCCEEDED})
    return [
        Best(each.number, each.val_accuracy, each.states == complete)
        for each in configurations
        if each.val_accuracy is not None
    ]
