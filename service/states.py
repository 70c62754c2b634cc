"""The states, and which may follow which. A terminal state never changes."""

from collections.abc import Mapping
from enum import StrEnum


class ExperimentState(StrEnum):
    """States of an experiment."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WorkState(StrEnum):
    """States of a chain or a stage."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


_E, _W = ExperimentState, WorkState

EXPERIMENT_TRANSITIONS: Mapping[ExperimentState, frozenset[ExperimentState]] = {
    _E.QUEUED: frozenset({_E.STARTING, _E.FAILED, _E.CANCELLED}),
    _E.STARTING: frozenset({_E.STARTING, _E.RUNNING, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    _E.RUNNING: frozenset({_E.STARTING, _E.RUNNING, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    _E.SUCCEEDED: frozenset(),
    _E.FAILED: frozenset(),
    _E.CANCELLED: frozenset(),
}

WORK_TRANSITIONS: Mapping[WorkState, frozenset[WorkState]] = {
    _W.WAITING: frozenset(_W),
    _W.RUNNING: frozenset(_W),  # back to waiting too: a stage whose trial was lost waits for its next attempt
    _W.SUCCEEDED: frozenset(),
    _W.FAILED: frozenset(),
    _W.CANCELLED: frozenset(),
    _W.STOPPED: frozenset(),
}

TERMINAL = frozenset({_E.SUCCEEDED, _E.FAILED, _E.CANCELLED})
ACTIVE = frozenset(_E) - TERMINAL
DONE = frozenset({_W.SUCCEEDED, _W.FAILED, _W.CANCELLED, _W.STOPPED})
