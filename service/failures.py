"""The types of failures: who must mend each, what it means, and what to do about it.

Plain data that all parts share: the runner chooses the type, the store keeps the failure, the API and `tet` show it.
The JSON form is {"type", "class", "kind", "message", "traceback"}; an experiment shows "type", "class" and "message".

Each failure has a class: user or cluster. A retry would only repeat a user's failure, so it is never retried. A retry
may mend a cluster's failure, so it is retried a limited number of times. `docs/troubleshooting.md` has a section for
each type.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.text import printable

Whose = Literal["user", "cluster"]

# The longest stored message, in characters; an exception may quote a whole tensor.
MAX_MESSAGE = 2_000
# How many of the last lines of a traceback are stored.
MAX_LINES = 20


class FailureType(StrEnum):
    """The types of failures: the user's, then the cluster's, in the order of docs/troubleshooting.md."""

    SPEC = "spec"
    DATA = "data"
    OUT_OF_MEMORY = "out_of_memory"
    NOT_FINITE = "not_finite"
    HEALTH = "health"
    MAX_TIME = "max_time"
    ERROR = "error"
    STALLED = "stalled"
    NODE_LOST = "node_lost"
    STORAGE = "storage"
    ENVIRONMENT = "environment"
    ENGINE_LOST = "engine_lost"
    TRACKING = "tracking"


class Remedy(StrEnum):
    """The act that can mend a failure; nothing else can."""

    NEW_SPEC = "new_spec"  # another spec, or other resources: a retry alone repeats the failure
    REPAIR_OR_NEW_SPEC = "repair_or_new_spec"  # another spec, or a retry once the nodes have what it asks for
    REPAIR = "repair"  # a retry after the repair: the spec is not at fault
    RETRY = "retry"  # a retry alone: the stage continues


@dataclass(frozen=True)
class About:
    """The explanation of a type of failure, for people.

    Attributes:
        whose: "user": never retried; "cluster": retried a limited number of times.
        remedy: What can mend it.
        meaning: What happened.
        advice: What to do.
    """

    whose: Whose
    remedy: Remedy
    meaning: str
    advice: str


_T = FailureType
# The advice after a failure that comes from the spec, the data or the nodes.
_CORRECT = "correct the spec and post it again (tet submit; tet fork keeps what is trained). A retry alone repeats it."

ABOUT: Mapping[FailureType, About] = {
    _T.SPEC: About(
        "user",
        Remedy.REPAIR_OR_NEW_SPEC,
        "The spec asks for something that cannot be built on the node, or that fits none of the cluster's nodes.",
        "If the message names something that the nodes lack (a package, a GPU): install it on every node, then retry. "
        f"Otherwise {_CORRECT}",
    ),
    _T.DATA: About(
        "user",
        Remedy.REPAIR_OR_NEW_SPEC,
        "A data set, or a file that the stage needs, is missing, damaged, or not what its card says.",
        "If data is missing or damaged: put it where the message says (TET_DATA), on every node, then retry. If the "
        f"spec is wrong (folder, num_classes, input_size): {_CORRECT}",
    ),
    _T.OUT_OF_MEMORY: About(
        "user",
        Remedy.NEW_SPEC,
        "The trial needed more memory than its node or its GPU has.",
        "Lower batch_size, T or the model's width, or give the trial a larger device: fork with these changes.",
    ),
    _T.NOT_FINITE: About(
        "user",
        Remedy.NEW_SPEC,
        "A loss, a metric, a weight or the optimiser's state became infinite or not a number.",
        "Lower optimizer.lr, or change the settings of the loss: fork with these changes.",
    ),
    _T.HEALTH: About(
        "user",
        Remedy.NEW_SPEC,
        "A layer of neurons was silent, fired all the time or let no gradient through, for as many epochs "
        "as limits.health allows.",
        "If silent: lower v_threshold, raise tau or optimizer.lr, or use a norm (tdbn). If saturated: do the opposite.",
    ),
    _T.MAX_TIME: About(
        "user",
        Remedy.RETRY,
        "The stage ran for longer than limits.max_time_s; its committed epochs are kept.",
        "Retry: the stage continues after its last committed epoch, and has the whole limit again. Or fork with a "
        "larger limit.",
    ),
    _T.ERROR: About(
        "user",
        Remedy.REPAIR_OR_NEW_SPEC,
        "The trial's code failed in a way that was not foreseen.",
        "Read the traceback and the trial's log (tet logs ID --chain CHAIN). If the message names an entry point, the "
        "fault is in its package. Otherwise it is a fault of this project: please report it.",
    ),
    _T.STALLED: About(
        "cluster",
        Remedy.REPAIR,
        "The trial made no step for limits.stall_s and was ended; so were the attempts after it.",
        "Look at the node (a hanging GPU, a file system that does not answer), or raise limits.stall_s; then retry.",
    ),
    _T.NODE_LOST: About(
        "cluster",
        Remedy.REPAIR,
        "The trial's process or node was lost, and so were those of the attempts after it.",
        "Look at the node: the kernel's log for a process killed for memory, Ray's dashboard for the node; then retry.",
    ),
    _T.STORAGE: About(
        "cluster",
        Remedy.REPAIR,
        "The shared storage or the network failed during the trial, and during the attempts after it.",
        "Repair the storage (TET_STORAGE): room, quota, mount; then retry.",
    ),
    _T.ENVIRONMENT: About(
        "cluster",
        Remedy.REPAIR_OR_NEW_SPEC,
        "No trial found a node on which the stage would give the same bits as where it started.",
        "Bring back a node like the one the stage started on (the message names what differs), then retry; or post the "
        "experiment again.",
    ),
    _T.ENGINE_LOST: About(
        "cluster",
        Remedy.REPAIR,
        "Several drivers in a row died, or Ray lost their jobs, with no epoch committed in between.",
        "Look at the driver's log (tet logs ID) and at Ray's head; then retry.",
    ),
    _T.TRACKING: About(
        "cluster",
        Remedy.REPAIR,
        "MLflow keeps refusing what is logged; everything is still on the storage.",
        "Restore the experiment in MLflow, or correct what the message names, then retry: everything is shipped then.",
    ),
}


class _Typed(BaseModel):
    """Base of the two forms of a failure. The JSON key of `whose` is "class"."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    type: FailureType
    whose: Whose = Field(alias="class")

    @model_validator(mode="before")
    @classmethod
    def _add_type(cls, stored: Any) -> Any:
        """Give a type to a failure that was stored before failures had types."""
        if isinstance(stored, Mapping) and "type" not in stored:
            return {**stored, "type": _T.NODE_LOST if stored.get("class") == "cluster" else _T.ERROR}
        return stored

    def as_json(self) -> dict[str, Any]:
        """Return the failure as it is stored and served."""
        return self.model_dump(mode="json")


class FailureSummary(_Typed):
    """The failure of an experiment: that of its first failed stage, or of the experiment as a whole."""

    message: str


class Failure(_Typed):
    """The failure of a stage. `kind` is the exception's name; None if there was no exception."""

    kind: str | None = None
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, type_: FailureType, message: str, *, kind: str | None = None, trace: str = "") -> Self:
        """Make a failure whose texts can be stored: they are shortened, and hidden characters are escaped.

        Args:
            type_: The type of the failure.
            message: What happened.
            kind: The exception's name, if there was one.
            trace: The exception's traceback, or Ray's text about a lost process. Its last lines are kept.
        """
        lines = [line[:MAX_MESSAGE] for line in trace.splitlines()[-MAX_LINES:]]
        return cls(
            type=type_,
            whose=ABOUT[type_].whose,
            kind=kind,
            message=_storable(message[:MAX_MESSAGE]),
            traceback=_storable("\n".join(lines)),
        )

    def with_message(self, message: str) -> Self:
        """Return the same failure with another message."""
        return self.model_copy(update={"message": message})

    @property
    def summary(self) -> FailureSummary:
        """The part of a stage's failure that its experiment shows."""
        return FailureSummary(type=self.type, whose=self.whose, message=self.message)


@dataclass(frozen=True)
class FailureCount:
    """A failure that stages share, how many chains met it, and one of these chains."""

    failure: FailureSummary
    num_chains: int
    chain: str


def _storable(text: str) -> str:
    """Return text that can be stored in a file and a database, and printed: hidden characters are escaped."""
    return printable(text)
