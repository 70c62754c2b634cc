"""The experiments of the version before: some finish, one fails, and two are paused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from tests.system.upgrade.reading import answers, take
from tests.system.upgrade.report import say
from tests.system.upgrade.results import Results
from tests.system.upgrade.specs import (
    DIGITS,
    FAILED,
    PAUSE_AFTER,
    PAUSED,
    SEARCH_PAUSE_AFTER,
    SEARCHED,
    put_pictures,
)
from tests.system.upgrade.stack import Json, Stack, StackError


@dataclass(frozen=True)
class Stored:
    """An experiment of the version before.

    Attributes:
        id: The experiment's id.
        answers: The API's answers about the experiment.
        results: The experiment's results.
    """

    id: str
    answers: Json
    results: Results

    @property
    def name(self) -> str:
        """The experiment's name in the report."""
        view = self.answers["experiment"]
        return f"{view['name']!r} ({view['state']})"


@dataclass(frozen=True)
class Before:
    """All experiments of the version before. A disturbed one has a twin: the same spec, undisturbed."""

    digits: Stored
    paused: Stored
    paused_twin: Stored
    searched: Stored
    searched_twin: Stored
    failed: Stored
    failed_twin: Stored

    def all(self) -> Iterator[Stored]:
        """Yield each experiment."""
        yield from (getattr(self, each.name) for each in fields(self))

    def finished(self) -> list[Stored]:
        """Return the experiments that have succeeded."""
        return [self.digits, self.paused_twin, self.searched_twin, self.failed_twin]


def make(stack: Stack) -> Before:
    """Run all experiments, and leave none running."""
    # The failing experiment comes first, because its twin needs the pictures, which `_fail` puts back.
    failed, failed_twin = _stored(stack, _fail(stack)), _finish(stack, FAILED)
    return Before(
        failed=failed,
        failed_twin=failed_twin,
        paused=_stored(stack, _pause(stack, PAUSED, _num_epochs, PAUSE_AFTER)),
        paused_twin=_finish(stack, PAUSED),
        searched=_stored(stack, _pause(stack, SEARCHED, _num_ended, SEARCH_PAUSE_AFTER)),
        searched_twin=_finish(stack, SEARCHED),
        digits=_finish(stack, stack.checkout / DIGITS),
    )


def _finish(stack: Stack, spec: Json | Path) -> Stored:
    experiment_id = stack.submit(spec)
    stack.await_state(experiment_id, "succeeded")
    return _stored(stack, experiment_id)


def _fail(stack: Stack) -> str:
    """Take the pictures away while a chain trains on them, wait for the failure, and put them back."""
    pictures = put_pictures(stack.place.data)
    away = pictures.with_name("away")
    experiment_id = stack.submit(FAILED)
    stack.await_view(experiment_id, "running, with a chain that has ended", _is_to_fail)
    pictures.rename(away)
    stack.await_state(experiment_id, "failed")
    away.rename(pictures)
    return experiment_id


def _is_to_fail(view: Json) -> bool:
    """Return whether a chain has ended, and another one is in the first half of its epochs."""
    stages = _stages(view)
    in_first_half = (0 < stage["epoch"] < stage["epochs"] // 2 for stage in stages)
    return any(stage["state"] == "succeeded" for stage in stages) and any(in_first_half)


def _pause(stack: Stack, spec: Json, count: Callable[[Json], int], after: int) -> str:
    experiment_id = stack.submit(spec)
    stack.await_view(experiment_id, f"running, with a progress of {after}", lambda view: count(view) >= after)
    stack.pause(experiment_id)
    stages = _stages(stack.await_state(experiment_id, "paused"))
    if all(stage["attempts"] for stage in stages) or not any(stage["epoch"] for stage in stages):
        states = ", ".join(f"{stage['state']} at {stage['epoch']} of {stage['epochs']}" for stage in stages)
        raise StackError(f"{spec['name']!r} was not paused between its start and its end: its stages are {states}")
    return experiment_id


def _stages(view: Json) -> list[Json]:
    return [stage for chain in view["chains"] for stage in chain["stages"]]


def _num_epochs(view: Json) -> int:
    return sum(int(stage["epoch"]) for stage in _stages(view))


def _num_ended(view: Json) -> int:
    return sum(chain["state"] in ("succeeded", "stopped") for chain in view["chains"])


def _stored(stack: Stack, experiment_id: str) -> Stored:
    stored = Stored(experiment_id, answers(stack, experiment_id), take(stack, experiment_id))
    say(f"        {stored.name}: {_progress(stored)}")
    return stored


def _progress(stored: Stored) -> str:
    stages = _stages(stored.answers["experiment"])
    done = sum(stage["state"] == "succeeded" for stage in stages)
    num_started = sum(stage["attempts"] > 0 for stage in stages) - done
    num_waiting = len(stages) - done - num_started
    counts = f"of {len(stages)} stages {done} succeeded, {num_started} had started, {num_waiting} had not"
    return f"{counts}; {stored.results.summary()}"
