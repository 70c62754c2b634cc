"""The progress of a search: the states of each arm's configurations, the best one so far, and the expected end."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from service.results.choice import best_of
from service.states import DONE, WorkState
from service.store.sums import ConfigurationTotals


@dataclass(frozen=True)
class Best:
    """The best configuration of an arm so far, by its number, and its mean validation accuracy.

    As soon as a chain of the arm has succeeded, the best configuration is the one that the comparison shows, and the
    mean is over the seeds with a result. Until then, the best one is the running configuration with the highest
    accuracy so far.

    Attributes:
        number: The configuration's number within its arm, from 0.
        val_accuracy: The mean validation accuracy, a fraction.
        complete: Whether all of its chains have succeeded.
    """

    number: int
    val_accuracy: float
    complete: bool


@dataclass(frozen=True)
class ArmSearch:
    """The search of one arm: how many of its configurations are in each state, and their training time so far."""

    name: str
    num_configurations: int
    states: Mapping[WorkState, int]
    train_time_s: float
    best: Best | None


def arm_searches(arms: Sequence[str], configurations: Iterable[ConfigurationTotals]) -> list[ArmSearch]:
    """Return the progress of the search in each arm."""
    by_arm = _by_arm(configurations)
    return [_arm_search(name, by_arm.get(name, [])) for name in arms]


def expected_end(
    configurations: Iterable[ConfigurationTotals], since: datetime, work_then: int, now: datetime
) -> datetime | None:
    """Return the time at which the last configuration ends, at the pace so far; None if nothing is done since `since`.

    A configuration that has not ended is expected to need the average work of the arm's configurations that have ended.
    With early stopping that is less than all of its epochs.

    Args:
        configurations: The configurations of all arms.
        since: The time at which the search was last started, resumed or retried: the pace is measured from then on.
        work_then: Work that was done before `since`, in epochs times T.
        now: The current time.
    """
    by_arm = _by_arm(configurations).values()
    done = sum(each.work_done for of_arm in by_arm for each in of_arm) - work_then
    if done <= 0 or now <= since:
        return None
    left = sum(map(_work_left, by_arm))
    try:
        return now + (now - since) * (left / done)
    except OverflowError:  # beyond the year 9999
        return None


def _work_left(of_arm: Sequence[ConfigurationTotals]) -> float:
    ended = [each.work_done for each in of_arm if _state(each) in DONE]
    mean_work = fmean(ended) if ended else None
    unfinished = [each for each in of_arm if _state(each) not in DONE]
    return sum(max((each.work_total if mean_work is None else mean_work) - each.work_done, 0.0) for each in unfinished)


def _by_arm(configurations: Iterable[ConfigurationTotals]) -> dict[str, list[ConfigurationTotals]]:
    by_arm: dict[str, list[ConfigurationTotals]] = {}
    for each in configurations:
        by_arm.setdefault(each.arm, []).append(each)
    return by_arm


def _state(configuration: ConfigurationTotals) -> WorkState:
    """Return the state of a configuration. If one of its chains ends without success, it is the state of that chain."""
    for state in (WorkState.STOPPED, WorkState.FAILED, WorkState.CANCELLED):
        if state in configuration.states:
            return state
    return next(iter(configuration.states)) if len(configuration.states) == 1 else WorkState.RUNNING


def _arm_search(name: str, configurations: Sequence[ConfigurationTotals]) -> ArmSearch:
    states = Counter(map(_state, configurations))
    train_time_s = sum(each.train_time_s for each in configurations)
    best = _best(map(_Measured, configurations)) or _ahead(configurations)
    return ArmSearch(name, len(configurations), states, train_time_s, best)


@dataclass(frozen=True)
class _Measured:
    """A configuration with the results of its chains that have succeeded."""

    of: ConfigurationTotals

    @property
    def num_results(self) -> int:
        return self.of.num_succeeded

    @property
    def val_accuracy(self) -> float | None:
        return self.of.succeeded_val_accuracy


def _best(configurations: Iterable[_Measured]) -> Best | None:
    best = best_of(configurations)
    if best is None or best.val_accuracy is None:
        return None
    return Best(best.of.number, best.val_accuracy, best.of.states == {WorkState.SUCCEEDED})


def _ahead(configurations: Iterable[ConfigurationTotals]) -> Best | None:
    """Return the configuration with the highest accuracy among those that still run."""
    running = (each for each in configurations if _state(each) not in DONE)
    ahead = [Best(each.number, each.val_accuracy, False) for each in running if each.val_accuracy is not None]
    return max(ahead, key=lambda each: each.val_accuracy, default=None)
