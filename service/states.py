"""States. For those of experiments, chains and stages, tables have the states that may follow each of them.

Only a retry changes a terminal state.
"""

from collections.abc import Mapping
from enum import StrEnum


class ExperimentState(StrEnum):
    """States of an experiment."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
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


class Wanted(StrEnum):
    """The states that a user can request."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class Cleanup(StrEnum):
    """The parts of an ended experiment that can be removed."""

    BEST = "best"  # all checkpoints except the last one of each stage
    CHECKPOINTS = "checkpoints"  # all checkpoints; metrics and journals stay
    EVERYTHING = "everything"


class VerificationState(StrEnum):
    """States of a verification."""

    QUEUED = "queued"
    RUNNING = "running"
    EQUAL = "equal"
    DIFFERENT = "different"
    FAILED = "failed"


_E, _W = ExperimentState, WorkState

# A state may follow itself if something else has changed, such as the reason.
EXPERIMENT_TRANSITIONS: Mapping[ExperimentState, frozenset[ExperimentState]] = {
    # A driver's outcome may be read late: it counts even if the experiment was paused and queued in the meantime.
    _E.QUEUED: frozenset({_E.QUEUED, _E.STARTING, _E.PAUSED, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    _E.STARTING: frozenset({_E.STARTING, _E.RUNNING, _E.PAUSING, _E.PAUSED, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    _E.RUNNING: frozenset({_E.STARTING, _E.RUNNING, _E.PAUSING, _E.PAUSED, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    # A driver may reach its outcome while it is being stopped. A resumed experiment waits in the queue like a new one.
    _E.PAUSING: frozenset({_E.PAUSING, _E.PAUSED, _E.QUEUED, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    _E.PAUSED: frozenset({_E.PAUSED, _E.QUEUED, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    _E.SUCCEEDED: frozenset(),
    _E.FAILED: frozenset(),
    _E.CANCELLED: frozenset(),
}

WORK_TRANSITIONS: Mapping[WorkState, frozenset[WorkState]] = {
    _W.WAITING: frozenset(_W),
    _W.RUNNING: frozenset(_W),  # also to waiting: when its trial is lost, a stage waits for its next attempt
    _W.SUCCEEDED: frozenset(),
    _W.FAILED: frozenset(),
    _W.CANCELLED: frozenset(),
    _W.STOPPED: frozenset(),
}

TERMINAL = frozenset({_E.SUCCEEDED, _E.FAILED, _E.CANCELLED})
ACTIVE = frozenset(_E) - TERMINAL
# Experiments in these states have no driver, and none was requested.
RESTING = frozenset({_E.QUEUED, _E.PAUSED})
DONE = frozenset({_W.SUCCEEDED, _W.FAILED, _W.CANCELLED, _W.STOPPED})
