"""Tests of the queue's decisions."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.control.queue import REFUSED_AFTER_S, Admission, QueueLimits, judge
from service.reasons import NO_REASON, Reason, ReasonKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODES = [{"CPU": 8.0, "GPU": 1.0}]
ONE_CPU = {"resources": {"CPU": 1}, "if_unplaceable": "wait"}
TWO_GPUS = {"resources": {"CPU": 1, "GPU": 2}, "if_unplaceable": "wait"}


@dataclass(frozen=True)
class One:
    id: str
    waited_s: float = 1.0
    priority: int = 0
    owner: str = "local"
    demand: dict[str, Any] = field(default_factory=lambda: ONE_CPU)

    @property
    def queued_at(self) -> datetime:
        return NOW - timedelta(seconds=self.waited_s)


def limits(running: int = 1, per_owner: int | None = None, aging_s: float = 3600) -> QueueLimits:
    return QueueLimits(running, per_owner, aging_s)


def test_first_in_first_out_within_a_priority_and_the_higher_priority_first() -> None:
    queued = One("young"), One("old", 30), One("urgent", 1, priority=5), One("last", 60, priority=-1)
    verdicts = judge(queued, {}, limits(4), NODES, NOW)
    assert [verdict.id for verdict in verdicts] == ["urgent", "old", "young", "last"]


def test_no_more_experiments_start_than_the_limit_allows() -> None:
    queued = [One(f"e{number}", 10 - number) for number in range(5)]
    verdicts = judge(queued, {"local": 2}, limits(4), NODES, NOW)
    assert [verdict.admission for verdict in verdicts] == [
        Admission.START,
        Admission.START,
        Admission.WAIT,
        Admission.WAIT,
        Admission.WAIT,
    ]
    assert {verdict.reason for verdict in verdicts} == {NO_REASON}


def test_an_owner_at_its_limit_does_not_block_other_owners() -> None:
    queued = One("a1", 3, owner="ann"), One("a2", 2, owner="ann"), One("b1", 1, owner="bob")
    verdicts = judge(queued, {}, limits(3, per_owner=1), NODES, NOW)
    assert [verdict.admission for verdict in verdicts] == [Admission.START, Admission.WAIT, Admission.START]
    words = "waits: ann already runs 1 experiment(s), the limit for one owner"
    assert verdicts[1].reason == Reason(ReasonKind.WAITS_FOR_OWNER, words)


def test_an_unplaceable_experiment_waits_with_a_reason_and_blocks_no_other() -> None:
    many = ONE_CPU | {"num_workers": 9}
    (verdict,) = judge([One("many", demand=many)], {}, limits(1), NODES, NOW)
    assert verdict.reason.kind is ReasonKind.WAITS_FOR_NODE
    words = "waits for a node: a trial needs 9 workers, each of 1 CPU(s) and 0 GPU(s); only 8 fit on 1 "
    assert verdict.reason.words.startswith(words)
    verdicts = judge([One("big", 9, demand=TWO_GPUS), One("small")], {}, limits(1), NODES, NOW)
    assert [verdict.admission for verdict in verdicts] == [Admission.WAIT, Admission.START]
    words = "waits for a node: a trial needs 1 CPU(s) and 2 GPU(s), and no node has them"
    assert verdicts[0].reason.words.startswith(words)


def test_an_unplaceable_experiment_is_refused_only_after_a_wait() -> None:
    demand = {**TWO_GPUS, "if_unplaceable": "refuse"}
    early, late = One("early", REFUSED_AFTER_S - 1, demand=demand), One("late", REFUSED_AFTER_S, demand=demand)
    verdicts = {verdict.id: verdict for verdict in judge([early, late], {}, limits(), NODES, NOW)}
    assert (verdicts["early"].admission, verdicts["late"].admission) == (Admission.WAIT, Admission.REFUSE)
    assert verdicts["late"].reason.kind is ReasonKind.FAILED
    assert verdicts["late"].reason.words.startswith("it cannot be placed: a trial needs")


def test_experiments_start_if_the_nodes_are_unknown() -> None:
    (verdict,) = judge([One("big", demand=TWO_GPUS)], {}, limits(), None, NOW)
    assert verdict.admission is Admission.START


def test_a_long_wait_outranks_a_higher_priority() -> None:
    patient, urgent = One("patient", waited_s=600), One("urgent", waited_s=1, priority=5)
    assert judge([patient, urgent], {}, limits(aging_s=100), NODES, NOW)[0].id == "patient"
    assert judge([patient, urgent], {}, limits(aging_s=200), NODES, NOW)[0].id == "urgent"


@given(st.lists(st.tuples(st.integers(-100, 100), st.floats(0, 1e6)), min_size=1, max_size=20))
def test_no_experiment_waits_forever(newcomers: list[tuple[int, float]]) -> None:
    """Priorities span 200: an experiment that has waited 201 times `aging_s` longer than the others is first."""
    longest = max(waited_s for _, waited_s in newcomers)
    patient = One("patient", waited_s=longest + 201.0 * 10, priority=-100)
    others = [One(f"n{number}", waited_s, priority) for number, (priority, waited_s) in enumerate(newcomers)]
    assert judge([*others, patient], {}, limits(aging_s=10), NODES, NOW)[0].id == "patient"
