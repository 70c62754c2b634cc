"""The queue: first in, first out within a priority, under the limits of all experiments and of each owner.

An experiment that cannot be placed waits, or is refused, and does not block others. Waiting experiments gain priority
with time, so that none waits for ever. All functions here are pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from service.control.placement import Nodes, placement
from service.reasons import NO_REASON, Reason, failed, waits_for_node, waits_for_owner

# A cluster that has just started is still gathering its nodes: nothing is refused for lack of one before that.
REFUSED_AFTER_S = 60.0


class Waiting(Protocol):
    """An experiment in the queue."""

    @property
    def id(self) -> str:
        """Its id; ids sort by age."""

    @property
    def owner(self) -> str:
        """Its owner."""

    @property
    def priority(self) -> int:
        """Higher goes first."""

    @property
    def queued_at(self) -> datetime:
        """The time since when it waits."""

    @property
    def demand(self) -> Mapping[str, Any]:
        """What one of its trials needs.

        `resources` for each worker, `num_workers` (1 if missing, as in experiments of older versions), and what to do
        if no node has room (`if_unplaceable`).
        """


@dataclass(frozen=True)
class QueueLimits:
    """The operator's limits.

    Attributes:
        running: How many experiments may run at once.
        running_per_owner: The same for one owner; None: no limit of its own.
        aging_s: For each such time of waiting, an experiment counts as one priority higher.
    """

    running: int
    running_per_owner: int | None
    aging_s: float


class Admission(Enum):
    """The decision about a waiting experiment."""

    START = "start"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True)
class QueueVerdict:
    """The decision about one experiment, and why it waits or is refused, if its place in the queue does not say it."""

    id: str
    admission: Admission
    reason: Reason = NO_REASON


def judge(
    queued: Iterable[Waiting], running: Mapping[str, int], limits: QueueLimits, nodes: Nodes, now: datetime
) -> list[QueueVerdict]:
    """Decide for each waiting experiment whether it starts now.

    Args:
        queued: The waiting experiments, in any order.
        running: How many experiments of each owner run.
        limits: The operator's limits.
        nodes: What each living node offers; None if the cluster cannot be asked: then nothing waits for a node.
        now: The time.

    Returns:
        A verdict for each, in the order of the queue.
    """
    counts = Counter(running)
    verdicts = []
    for one in queue_order(queued, limits.aging_s, now):
        verdict = _judge(one, counts, limits, nodes, now)
        if verdict.admission is Admission.START:
            counts[one.owner] += 1
        verdicts.append(verdict)
    return verdicts


def queue_order(queued: Iterable[Waiting], aging_s: float, now: datetime) -> Sequence[Waiting]:
    """Return the waiting experiments in the order in which they start."""

    def rank(one: Waiting) -> tuple[float, datetime, str]:
        return -(one.priority + (now - one.queued_at).total_seconds() // aging_s), one.queued_at, one.id

    return sorted(queued, key=rank)


def _judge(one: Waiting, running: Counter[str], limits: QueueLimits, nodes: Nodes, now: datetime) -> QueueVerdict:
    found = placement(one.demand["resources"], nodes, one.demand.get("num_workers", 1))
    if found.possible is False:
        long_enough = (now - one.queued_at).total_seconds() >= REFUSED_AFTER_S
        if one.demand["if_unplaceable"] == "refuse" and long_enough:
            return QueueVerdict(one.id, Admission.REFUSE, failed(f"it cannot be placed: {found.detail}"))
        return QueueVerdict(one.id, Admission.WAIT, waits_for_node(found.detail))
    if running.total() >= limits.running:
        return QueueVerdict(one.id, Admission.WAIT)
    quota = limits.running_per_owner
    if quota is not None and running[one.owner] >= quota:
        return QueueVerdict(one.id, Admission.WAIT, waits_for_owner(one.owner, quota))
    return QueueVerdict(one.id, Admission.START)
