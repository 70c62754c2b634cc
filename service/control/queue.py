"""The queue: first in, first out within a priority, with one limit for all experiments and one for each owner.

An experiment that cannot be placed waits or is refused, and does not block other experiments. Waiting experiments gain
priority with time, so that none waits forever. All functions here are pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from service.control.placement import Nodes, placement
from service.reasons import NO_REASON, Reason, failed, waits_for_node, waits_for_owner

# Seconds in the queue before an experiment may be refused: nodes of a cluster that has just started may still join.
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
        """Its priority; a higher one starts first."""

    @property
    def queued_at(self) -> datetime:
        """The time at which it was queued."""

    @property
    def demand(self) -> Mapping[str, Any]:
        """What one of its trials needs.

        It holds the `resources` of each worker, `num_workers` (1 if missing, as in experiments of older versions), and
        what to do if the trial fits on no node (`if_unplaceable`).
        """


@dataclass(frozen=True)
class QueueLimits:
    """The operator's limits.

    Attributes:
        running: Number of experiments that may run at once.
        running_per_owner: The same for one owner; None: no such limit.
        aging_s: Seconds in the queue that raise an experiment's priority by one.
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
    """The decision about one experiment, and why it waits or is refused; no reason if it only waits for its turn."""

    id: str
    admission: Admission
    reason: Reason = NO_REASON


def judge(
    queued: Iterable[Waiting], running: Mapping[str, int], limits: QueueLimits, nodes: Nodes, now: datetime
) -> list[QueueVerdict]:
    """Decide for each waiting experiment whether it starts now.

    Args:
        queued: The waiting experiments, in any order.
        running: Number of running experiments of each owner.
        limits: The operator's limits.
        nodes: What each living node offers; None if Ray does not answer: then no experiment waits for a node.
        now: The current time.

    Returns:
        A verdict for each experiment, in the order of the queue.
    """
    counts = Counter(running)
    verdicts = []
    for waiting in queue_order(queued, limits.aging_s, now):
        verdict = _judge(waiting, counts, limits, nodes, now)
        if verdict.admission is Admission.START:
            counts[waiting.owner] += 1
        verdicts.append(verdict)
    return verdicts


def queue_order(queued: Iterable[Waiting], aging_s: float, now: datetime) -> Sequence[Waiting]:
    """Return the waiting experiments in the order in which they start."""

    def rank(waiting: Waiting) -> tuple[float, datetime, str]:
        return -(waiting.priority + (now - waiting.queued_at).total_seconds() // aging_s), waiting.queued_at, waiting.id

    return sorted(queued, key=rank)


def _judge(waiting: Waiting, running: Counter[str], limits: QueueLimits, nodes: Nodes, now: datetime) -> QueueVerdict:
    fit = placement(waiting.demand["resources"], nodes, waiting.demand.get("num_workers", 1))
    if fit.possible is False:
        long_enough = (now - waiting.queued_at).total_seconds() >= REFUSED_AFTER_S
        if waiting.demand["if_unplaceable"] == "refuse" and long_enough:
            return QueueVerdict(waiting.id, Admission.REFUSE, failed(f"it cannot be placed: {fit.detail}"))
        return QueueVerdict(waiting.id, Admission.WAIT, waits_for_node(fit.detail))
    if running.total() >= limits.running:
        return QueueVerdict(waiting.id, Admission.WAIT)
    quota = limits.running_per_owner
    if quota is not None and running[waiting.owner] >= quota:
        return QueueVerdict(waiting.id, Admission.WAIT, waits_for_owner(waiting.owner, quota))
    return QueueVerdict(waiting.id, Admission.START)
