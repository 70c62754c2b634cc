"""What an experiment can fail of: each type, whose it is, what it means, and what to do about it.

Plain data, shared by all: the runner decides the type, the store keeps it, the API and `tet` show it. A failure is
stored and told as a dictionary: {"type", "class", "kind", "message", "traceback"}. `kind` is the exception's name,
None where there was none.

What is the user's a retry would only repeat: it is never retried. What is the cluster's a retry may cure: it is
retried, within a budget of its own. `docs/troubleshooting.md` has a section for each type.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from service.errors import printable

Whose = Literal["user", "cluster"]

# Characters of a message that are kept; an exception may quote a whole tensor.
MAX_MESSAGE = 2_000
# Lines of a traceback that are kept, from its end.
MAX_LINES = 20


class FailureType(StrEnum):
    """The types of failures."""

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


@dataclass(frozen=True)
class About:
    """A type of failure, for people.

    Attributes:
        whose: "user": never retried; "cluster": retried within a budget.
        meaning: What has happened.
        advice: What to do.
    """

    whose: Whose
    meaning: str
    advice: str


_T = FailureType

ABOUT: Mapping[FailureType, About] = {
    _T.SPEC: About(
        "user",
        "What the spec asks for cannot be built on the node, or fits none of the cluster's nodes.",
        "Install what is missing on every node, or post a spec (or a fork) that asks for something else.",
    ),
    _T.DATA: About(
        "user",
        "A data set, or a file that the stage needs, is missing, damaged, or not what its card says.",
        "Put the data in order where the message says (TET_DATA), then retry.",
    ),
    _T.OUT_OF_MEMORY: About(
        "user",
        "The trial needed more memory than its node or its GPU has.",
        "Lower batch_size, T or the model's width, or give the trial a larger device: fork with that.",
    ),
    _T.NOT_FINITE: About(
        "user",
        "A loss or a metric has become infinite or not a number.",
        "Lower optimizer.lr, or look at the loss's settings: fork with that.",
    ),
    _T.HEALTH: About(
        "user",
        "A layer of neurons has been silent, has fired all the time or has let no gradient through, for as many epochs "
        "as limits.health allows.",
        "Silent: lower v_threshold, raise tau or optimizer.lr, take a norm (tdbn). Saturated: the other way round.",
    ),
    _T.MAX_TIME: About(
        "user",
        "The stage was at work for longer than limits.max_time_s; what it has committed is kept.",
        "Retry to give it as much time again, from its last epoch; or fork with a larger limit.",
    ),
    _T.ERROR: About(
        "user",
        "The trial's code failed in a way that nobody foresaw.",
        "Read the traceback, and the trial's log (tet logs ID --chain CHAIN). Of this project: please report it.",
    ),
    _T.STALLED: About(
        "cluster",
        "The trial made no step for limits.stall_s, was ended, and so were those that followed it.",
        "Look at the node (a hanging GPU, a file system that does not answer), or raise limits.stall_s; then retry.",
    ),
    _T.NODE_LOST: About(
        "cluster",
        "The trial's process or node was lost, and so were those that followed it.",
        "Look at the node: the kernel's log for a process killed for memory, Ray's dashboard for the node; then retry.",
    ),
    _T.STORAGE: About(
        "cluster",
        "The shared storage, or the network, has failed the trial, and those that followed it.",
        "Make the storage (TET_STORAGE) whole again: room, quota, mount; then retry.",
    ),
    _T.ENVIRONMENT: About(
        "cluster",
        "No trial found a node on which the stage would go on to the same bits.",
        "Bring back a node as the stage began on (the message names what differs), then retry; or post it anew.",
    ),
    _T.ENGINE_LOST: About(
        "cluster",
        "Driver after driver has died, or Ray has lost their jobs, without an epoch in between.",
        "Look at the driver's log (tet logs ID) and at Ray's head; then retry.",
    ),
    _T.TRACKING: About(
        "cluster",
        "MLflow refuses what is to be logged and keeps refusing it; all of it is on the storage.",
        "Restore the experiment in MLflow, or put right what the message names, then retry: everything is shipped.",
    ),
}


def failure(type_: FailureType, message: str, *, kind: str | None = None, trace: str = "") -> dict[str, Any]:
    """A failure as it is stored and told.

    Args:
        type_: Which it is.
        message: What happened, in words.
        kind: The exception's name, where there is one.
        trace: Its traceback, or what else is known; the last lines are kept.
    """
    lines = [line[:MAX_MESSAGE] for line in trace.splitlines()[-MAX_LINES:]]
    return {
        "type": type_.value,
        "class": ABOUT[type_].whose,
        "kind": kind,
        "message": _storable(message[:MAX_MESSAGE]),
        "traceback": _storable("\n".join(lines)),
    }


def headline(told: Mapping[str, Any]) -> dict[str, Any]:
    """What an experiment tells of a failure of one of its stages."""
    return {key: told[key] for key in ("type", "class", "message")}


def typed(told: Mapping[str, Any]) -> dict[str, Any]:
    """A failure with a type, where it may be one that was stored before there were any."""
    if "type" in told:
        return dict(told)
    return {"type": (_T.NODE_LOST if told.get("class") == "cluster" else _T.ERROR).value, **told}


# A failure as a field of what is read back.
Told = Annotated[dict[str, Any], AfterValidator(typed)]


def _storable(text: str) -> str:
    """Text that a file and a database take: neither lone surrogates (of a file's name, say) nor NUL."""
    return printable(text).replace("\x00", "\\x00")
