"""What people are shown of failures: what happened, whose it is, and what to do."""

from collections.abc import Iterator
from typing import Any

from service.cli.progress import stage_name
from service.failures import ABOUT, FailureType

Json = dict[str, Any]

_FATE = {"user": "it is not retried by itself", "cluster": "it was retried as often as it may be"}


def failed_stages(experiment: Json) -> Iterator[str]:
    """A line for each stage that has failed."""
    for chain in experiment["chains"]:
        for stage in chain["stages"]:
            if failure := stage.get("failure"):
                yield f"{stage_name(chain, stage)}: {failure['type']}: {failure['message']}"


def explained(failure: Json) -> Iterator[str]:
    """An experiment's failure: its type with whose it is, what it means, what to do."""
    about = ABOUT[FailureType(failure["type"])]
    yield f"failure {failure['type']}, the {failure['class']}'s: {_FATE[failure['class']]}"
    yield f"        {failure['message']}"
    yield f"means   {about.meaning}"
    yield f"do      {about.advice}"
