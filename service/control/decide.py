"""The reconciler's state table: the next action, from what is wanted, the experiment's state and its job's status."""

from enum import StrEnum

from service.control.jobs import JobStatus
from service.states import ExperimentState, Wanted


class Action(StrEnum):
    """What the reconciler does with one experiment in one round."""

    NONE = "none"
    ENQUEUE = "enqueue"  # leave it in the queue, which decides when the experiment starts
    SUBMIT = "submit"  # submit the driver's job: the intent to run it is stored
    NOTE_RUNNING = "note running"
    REVIVE = "revive"  # the driver is gone without an outcome: start the next one
    STOP = "stop"  # ask Ray to stop the driver
    PAUSE = "pause"  # no driver runs any more: rest until a user resumes it
    QUEUE = "queue"  # a user resumed it: put it back into the queue
    CANCEL = "cancel"  # no driver runs any more: end as cancelled
    NOTE_UNKNOWN = "note unknown"  # say that Ray does not answer, and change nothing else


_W, _E, _J, _A = Wanted, ExperimentState, JobStatus, Action

# (wanted, state, seen) -> action. A queued or paused experiment has no job; in other states, a job may have any status.
TABLE: dict[tuple[Wanted, ExperimentState, JobStatus], Action] = {
    (_W.RUN, _E.QUEUED, _J.ABSENT): _A.ENQUEUE,
    (_W.RUN, _E.STARTING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.RUN, _E.STARTING, _J.ABSENT): _A.SUBMIT,
    (_W.RUN, _E.STARTING, _J.PENDING): _A.NONE,
    (_W.RUN, _E.STARTING, _J.RUNNING): _A.NOTE_RUNNING,
    (_W.RUN, _E.STARTING, _J.ENDED): _A.REVIVE,
    (_W.RUN, _E.RUNNING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.RUN, _E.RUNNING, _J.ABSENT): _A.REVIVE,
    (_W.RUN, _E.RUNNING, _J.PENDING): _A.NONE,
    (_W.RUN, _E.RUNNING, _J.RUNNING): _A.NOTE_RUNNING,
    (_W.RUN, _E.RUNNING, _J.ENDED): _A.REVIVE,
    # Resumed during a pause: the driver that was asked to stop must stop first.
    (_W.RUN, _E.PAUSING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.RUN, _E.PAUSING, _J.ABSENT): _A.QUEUE,
    (_W.RUN, _E.PAUSING, _J.PENDING): _A.STOP,
    (_W.RUN, _E.PAUSING, _J.RUNNING): _A.STOP,
    (_W.RUN, _E.PAUSING, _J.ENDED): _A.QUEUE,
    (_W.RUN, _E.PAUSED, _J.ABSENT): _A.QUEUE,
    (_W.PAUSE, _E.QUEUED, _J.ABSENT): _A.PAUSE,
    (_W.PAUSE, _E.STARTING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.PAUSE, _E.STARTING, _J.ABSENT): _A.PAUSE,
    (_W.PAUSE, _E.STARTING, _J.PENDING): _A.STOP,
    (_W.PAUSE, _E.STARTING, _J.RUNNING): _A.STOP,
    (_W.PAUSE, _E.STARTING, _J.ENDED): _A.PAUSE,
    (_W.PAUSE, _E.RUNNING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.PAUSE, _E.RUNNING, _J.ABSENT): _A.PAUSE,
    (_W.PAUSE, _E.RUNNING, _J.PENDING): _A.STOP,
    (_W.PAUSE, _E.RUNNING, _J.RUNNING): _A.STOP,
    (_W.PAUSE, _E.RUNNING, _J.ENDED): _A.PAUSE,
    (_W.PAUSE, _E.PAUSING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.PAUSE, _E.PAUSING, _J.ABSENT): _A.PAUSE,
    (_W.PAUSE, _E.PAUSING, _J.PENDING): _A.STOP,
    (_W.PAUSE, _E.PAUSING, _J.RUNNING): _A.STOP,
    (_W.PAUSE, _E.PAUSING, _J.ENDED): _A.PAUSE,
    (_W.PAUSE, _E.PAUSED, _J.ABSENT): _A.NONE,
    (_W.CANCEL, _E.QUEUED, _J.ABSENT): _A.CANCEL,
    (_W.CANCEL, _E.STARTING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.CANCEL, _E.STARTING, _J.ABSENT): _A.CANCEL,
    (_W.CANCEL, _E.STARTING, _J.PENDING): _A.STOP,
    (_W.CANCEL, _E.STARTING, _J.RUNNING): _A.STOP,
    (_W.CANCEL, _E.STARTING, _J.ENDED): _A.CANCEL,
    (_W.CANCEL, _E.RUNNING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.CANCEL, _E.RUNNING, _J.ABSENT): _A.CANCEL,
    (_W.CANCEL, _E.RUNNING, _J.PENDING): _A.STOP,
    (_W.CANCEL, _E.RUNNING, _J.RUNNING): _A.STOP,
    (_W.CANCEL, _E.RUNNING, _J.ENDED): _A.CANCEL,
    (_W.CANCEL, _E.PAUSING, _J.UNKNOWN): _A.NOTE_UNKNOWN,
    (_W.CANCEL, _E.PAUSING, _J.ABSENT): _A.CANCEL,
    (_W.CANCEL, _E.PAUSING, _J.PENDING): _A.STOP,
    (_W.CANCEL, _E.PAUSING, _J.RUNNING): _A.STOP,
    (_W.CANCEL, _E.PAUSING, _J.ENDED): _A.CANCEL,
    (_W.CANCEL, _E.PAUSED, _J.ABSENT): _A.CANCEL,
}


def decide(wanted: Wanted, state: ExperimentState, seen: JobStatus) -> Action:
    """Return the action of the table, which has every case that can occur."""
    return TABLE[wanted, state, seen]
