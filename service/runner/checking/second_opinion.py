"""A second opinion on the faults that a node has found: the same examination on another node.

The second node may be busy, so the examination takes none of the node's resources. It runs for some seconds beside the
node's trials.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray

from service.runner.checking.check_records import CheckReport
from service.runner.on_a_node import other_node, submitted_to
from service.spec.blocks import Resources
from tet_core.config import TrainConfig

log = logging.getLogger(__name__)

# The longest wait, in s, for the second node. The driver starts no trial while it waits. Running trials continue.
PATIENCE_S = 60.0
# The time, in s, between two calls of `must_stop`.
LOOK_EVERY_S = 0.5

# A function that takes the first report and the configurations with faults, and returns the second report. It returns
# None if there is no other node for trials. It may raise `StoppedAsking`.
AskAnother = Callable[[CheckReport, Sequence[TrainConfig]], CheckReport | None]


class StoppedAsking(Exception):  # noqa: N818 - no error: the next driver asks again
    """The sign that the driver must stop before another node has answered."""


def another_node_asked(resources: Resources, data_root: Path | None, must_stop: Callable[[], bool]) -> AskAnother:
    """Return a function that asks another node of the connected cluster.

    Args:
        resources: The experiment's resources: the other node has to be large enough for its trials.
        data_root: The folder of the data sets on the nodes; None: the default folder of tet_core.
        must_stop: Returns whether to stop waiting.
    """

    def ask(first: CheckReport, subjects: Sequence[TrainConfig]) -> CheckReport | None:
        node = other_node(resources, first.node)
        if node is None:
            return None
        log.info("the faults that host %s has found are looked at on another node, %s", first.host, node)
        plain = [each.model_dump(mode="json") for each in subjects]
        root = None if data_root is None else str(data_root)
        text = _answer(submitted_to(node, _examine, plain, root, node), must_stop)
        if text is not None:
            return CheckReport.model_validate_json(text)
        return CheckReport(host="", node=node, at_ms=first.at_ms, num_subjects=len(subjects))

    return ask


def _answer(reference: ray.ObjectRef, must_stop: Callable[[], bool]) -> str | None:
    """Return the result of a task; None if it fails or takes too long.

    Raises:
        StoppedAsking: The driver must stop.
    """
    for _ in range(round(PATIENCE_S / LOOK_EVERY_S)):
        if ray.wait([reference], timeout=LOOK_EVERY_S)[0]:
            try:
                return ray.get(reference)
            except ray.exceptions.RayError as error:
                log.warning("the second node could not examine anything: %s", error)
                return None
        if must_stop():
            raise StoppedAsking
    log.warning("the second node has not answered within %.0f s: the faults are ignored", PATIENCE_S)
    ray.cancel(reference, force=True)
    return None


def _examine(subjects: Sequence[dict[str, Any]], data_root: str | None, node: str) -> str:
    # Imported here, because the driver trains nothing and must not load torch.
    from service.runner.checking.examination import examine_elsewhere

    return examine_elsewhere(subjects, data_root, node)
