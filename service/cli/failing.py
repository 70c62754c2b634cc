"""Texts about failures for people: what happened, whose failure it is, and what to do."""

from collections.abc import Iterator

from service.answers.chains import FailureView
from service.answers.experiments import ExperimentView
from service.cli.progress import stage_name
from service.failures import ABOUT

_FATE = {"user": "it is not retried automatically", "cluster": "it was retried as often as it may be"}


def failed_stages(experiment: ExperimentView) -> Iterator[str]:
    """Yield a line for each failed stage."""
    for chain in experiment.chains:
        for stage in chain.stages:
            if stage.failure is not None:
                yield f"{stage_name(chain, stage)}: {stage.failure.type}: {stage.failure.message}"


def explained(failure: FailureView) -> Iterator[str]:
    """Yield the lines that explain an experiment's failure: its type, whose it is, its meaning and what to do."""
    about = ABOUT[failure.type]
    yield f"failure {failure.type}, the {failure.class_}'s: {_FATE[failure.class_]}"
    yield f"        {failure.message}"
    yield f"means   {about.meaning}"
    yield f"do      {about.advice}"
