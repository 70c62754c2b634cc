"""The reconciler's state table: what to do next, from what is wanted, where the experiment is, and what was seen."""

from enum import StrEnum

from service.control.jobs import JobStatus
from service.states import ExperimentState


class Action(StrEnum):
    """What the reconciler does with one experiment in one round."""

    NONE = "none"
    ENQUEUE = "enqueue"  # wait until its turn has come: the queue decides over all that wait
    SUBMIT = "submit"  # hand the stored intent to Ray
    NOTE_RUNNING = "note running"
    REVIVE = "revive"  # the driver is gone without an outcome: start the next one
    STOP = "stop"  # ask Ray to stop the driver
    PAUSE = "pause"  # nothing runs any more: rest until it is resumed
    QUEUE = "queue"  # it was resumed: back into the queue
    CANCEL = "cancel"  # nothing runs any more: conclude
    NOTE_UNKNOWN = "note unknown"  # say that Ray does not answer, and change nothing


_E, _J, _A = ExperimentState, JobStatus, Action

# (wanted, state, seen) -> action. What is queued or paused has no job; for the others every status has its line.
TABLE: dict[tuple[str, ExperimentState, JobStatus], Action] = {
    ("run", _E.QUEUED, _J.ABSENT): _A.ENQUEUE,
    ("run", _E.STARTING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("run", _E.STARTING, _J.ABSENT): _A.SUBMIT,
    ("run", _E.STARTING, _J.PENDING): _A.NONE,
    ("run", _E.STARTING, _J.RUNNING): _A.NOTE_RUNNING,
    ("run", _E.STARTING, _J.ENDED): _A.REVIVE,
    ("run", _E.RUNNING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("run", _E.RUNNING, _J.ABSENT): _A.REVIVE,
    ("run", _E.RUNNING, _J.PENDING): _A.NONE,
    ("run", _E.RUNNING, _J.RUNNING): _A.NOTE_RUNNING,
    ("run", _E.RUNNING, _J.ENDED): _A.REVIVE,
    # Resumed while it was being paused: what was asked to stop does so first.
    ("run", _E.PAUSING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("run", _E.PAUSING, _J.ABSENT): _A.QUEUE,
    ("run", _E.PAUSING, _J.PENDING): _A.STOP,
    ("run", _E.PAUSING, _J.RUNNING): _A.STOP,
    ("run", _E.PAUSING, _J.ENDED): _A.QUEUE,
    ("run", _E.PAUSED, _J.ABSENT): _A.QUEUE,
    ("pause", _E.QUEUED, _J.ABSENT): _A.PAUSE,
    ("pause", _E.STARTING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("pause", _E.STARTING, _J.ABSENT): _A.PAUSE,
    ("pause", _E.STARTING, _J.PENDING): _A.STOP,
    ("pause", _E.STARTING, _J.RUNNING): _A.STOP,
    ("pause", _E.STARTING, _J.ENDED): _A.PAUSE,
    ("pause", _E.RUNNING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("pause", _E.RUNNING, _J.ABSENT): _A.PAUSE,
    ("pause", _E.RUNNING, _J.PENDING): _A.STOP,
    ("pause", _E.RUNNING, _J.RUNNING): _A.STOP,
    ("pause", _E.RUNNING, _J.ENDED): _A.PAUSE,
    ("pause", _E.PAUSING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("pause", _E.PAUSING, _J.ABSENT): _A.PAUSE,
    ("pause", _E.PAUSING, _J.PENDING): _A.STOP,
    ("pause", _E.PAUSING, _J.RUNNING): _A.STOP,
    ("pause", _E.PAUSING, _J.ENDED): _A.PAUSE,
    ("pause", _E.PAUSED, _J.ABSENT): _A.NONE,
    ("cancel", _E.QUEUED, _J.ABSENT): _A.CANCEL,
    ("cancel", _E.STARTING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("cancel", _E.STARTING, _J.ABSENT): _A.CANCEL,
    ("cancel", _E.STARTING, _J.PENDING): _A.STOP,
    ("cancel", _E.STARTING, _J.RUNNING): _A.STOP,
    ("cancel", _E.STARTING, _J.ENDED): _A.CANCEL,
    ("cancel", _E.RUNNING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("cancel", _E.RUNNING, _J.ABSENT): _A.CANCEL,
    ("cancel", _E.RUNNING, _J.PENDING): _A.STOP,
    ("cancel", _E.RUNNING, _J.RUNNING): _A.STOP,
    ("cancel", _E.RUNNING, _J.ENDED): _A.CANCEL,
    ("cancel", _E.PAUSING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    ("cancel", _E.PAUSING, _J.ABSENT): _A.CANCEL,
    ("cancel", _E.PAUSING, _J.PENDING): _A.STOP,
    ("cancel", _E.PAUSING, _J.RUNNING): _A.STOP,
    ("cancel", _E.PAUSING, _J.ENDED): _A.CANCEL,
    ("cancel", _E.PAUSED, _J.ABSENT): _A.CANCEL,
}


def decide(wanted: str, state: ExperimentState, seen: JobStatus) -> Action:
    """The table's answer; every pair that can occur has one."""
    return TABLE[wanted, state, seen]
