"""Who goes next: first in, first out within a priority, under the limits of all and of each owner.

What cannot be placed waits, or is refused, and stands in nobody's way. What waits gains priority with time, so that
nothing starves. A pure function of what is known: it remembers nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from service.control.placement import Nodes, placement
from service.reasons import NO_REASON, Reason, failed, waits_for_node, waits_for_owner

# A cluster that has just come up is still gathering its nodes: nothing is refused for want of one before that.
REFUSED_AFTER_S = 60.0


class Waiting(Protocol):
    """What is known of an experiment in the queue."""

    @property
    def id(self) -> str:
        """Its id; ids sort by age."""

    @property
    def owner(self) -> str:
        """Whose it is."""

    @property
    def priority(self) -> int:
        """What has more goes first."""

    @property
    def queued_at(self) -> datetime:
        """Since when it waits."""

    @property
    def demand(self) -> Mapping[str, Any]:
        """What a trial asks for.

        `resources` for each worker, `num_workers` (experiments that older versions took have none: 1), and what to do
        where there is no room (`if_unplaceable`).
        """


@dataclass(frozen=True)
class QueueLimits:
    """What an operator allows.

    Attributes:
        running: Experiments that run at once.
        running_per_owner: The same of one owner; None: as many as run at all.
        aging_s: Whoever has waited so long counts as one priority higher; again and again.
    """

    running: int
    running_per_owner: int | None
    aging_s: float


class Admission(Enum):
    """What becomes of one that waits."""

    START = "start"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True)
class QueueVerdict:
    """What becomes of one that waits, and why, where that needs a word."""

    id: str
    admission: Admission
    reason: Reason = NO_REASON


def judge(
    queued: Iterable[Waiting], running: Mapping[str, int], limits: QueueLimits, nodes: Nodes, now: datetime
) -> list[QueueVerdict]:
    """Says of each that waits whether it goes now.

    Args:
        queued: Those that wait, in any order.
        running: How many run of each owner.
        limits: What is allowed.
        nodes: What each living node offers; None where the cluster cannot be asked, which keeps nobody waiting.
        now: The time.

    Returns:
        A verdict for each, in the order in which they go.
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
    """Those that wait, in the order in which they go."""

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
