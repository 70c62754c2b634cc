"""Texts about failures for people: what happened, whose failure it is, and what to do."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from service.answers.chains import FailureView
from service.answers.experiments import ExperimentView, OutcomeView
from service.cli.progress import stage_name
from service.failures import ABOUT, Remedy

# How many of the stages that failed alike are named.
MAX_NAMES = 3
_FATE = {"user": "it is not retried automatically", "cluster": "it was retried as often as is allowed"}


def failed_stages(experiment: ExperimentView) -> Iterator[str]:
    """Yield a line for each failure: equal ones once, with the number of chains that failed alike."""
    names: dict[str, list[str]] = {}
    for chain in experiment.chains:
        for stage in chain.stages:
            if stage.failure is not None:
                names.setdefault(_text(stage.failure), []).append(stage_name(chain, stage))
    # The chains that are not shown count too.
    totals = {_text(group): group.num_chains for group in experiment.failures}
    for text, stages in names.items():
        total = max(len(stages), totals.get(text, 0))
        yield f"{stages[0]}: {text}" if total == 1 else f"{total} chains failed alike: {text} ({_some(stages, total)})"


def failed_alike(experiment: ExperimentView) -> list[str]:
    """Return a line for each failure that several chains share, the most frequent first."""
    shared = [group for group in experiment.failures if group.num_chains > 1]
    return [f"{group.num_chains} chains failed alike: {_text(group)}" for group in shared]


def _text(failure: FailureView) -> str:
    return f"{failure.type}: {failure.message}"


def _some(names: list[str], total: int) -> str:
    shown = "; ".join(names[:MAX_NAMES])
    return shown if total <= MAX_NAMES else f"{shown}; and {total - min(len(names), MAX_NAMES)} more"


def after_retry(history: Sequence[OutcomeView]) -> str | None:
    """Return a warning if a retry that was just accepted would only repeat the failure; None if it may mend it.

    Args:
        history: The ends of the generations before the retry, oldest first.
    """
    failure = history[-1].failure if history else None
    if failure is None:
        return None
    about = ABOUT[failure.type]
    match about.remedy:
        case Remedy.NEW_SPEC | Remedy.REPAIR_OR_NEW_SPEC:
            return f"it failed with {failure.type}, which a retry alone repeats. {about.advice}"
        case Remedy.REPAIR | Remedy.RETRY:
            return None
        case _:
            assert_never(about.remedy)


def explained(failure: FailureView) -> Iterator[str]:
    """Yield the lines that explain an experiment's failure: its type, whose it is, its meaning and what to do."""
    about = ABOUT[failure.type]
    yield f"failure {failure.type}, the {failure.class_}'s: {_FATE[failure.class_]}"
    yield f"        {failure.message}"
    yield f"means   {about.meaning}"
    yield f"do      {about.advice}"
