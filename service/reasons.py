"""Reasons: why an experiment is in its state, as a kind that decides and as words for people.

All words live here. Nothing reads them back: what happens next depends on the kind alone.
"""

from dataclasses import dataclass
from enum import StrEnum


class ReasonKind(StrEnum):
    """The kinds of reasons; stored beside the words."""

    NONE = "none"  # the state says it all
    WAITS_FOR_NODE = "waits_for_node"
    WAITS_FOR_OWNER = "waits_for_owner"  # the owner runs as many experiments as allowed
    STORAGE = "storage"  # the shared storage is full or cannot be written
    TROUBLE = "trouble"  # the service itself meets an error
    RAY_SILENT = "ray_silent"
    RAY_REFUSED = "ray_refused"  # Ray did not take the driver's job
    DRIVER_LOST = "driver_lost"
    STOPPING = "stopping"  # Ray was asked to stop the driver
    WAITS_FOR_MLFLOW = "waits_for_mlflow"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Reason:
    """A kind, and the words that follow from it and its details."""

    kind: ReasonKind
    words: str


NO_REASON = Reason(ReasonKind.NONE, "")


def waits_for_node(detail: str) -> Reason:
    """No node has room for a trial."""
    return Reason(ReasonKind.WAITS_FOR_NODE, f"waits for a node: {detail}")


def waits_for_owner(owner: str, limit: int) -> Reason:
    """The owner already runs as many experiments as one owner may."""
    return Reason(ReasonKind.WAITS_FOR_OWNER, f"waits: {owner} may run {limit} at once, and does")


def storage_trouble(words: str) -> Reason:
    """The storage takes nothing more, in the words of the storage watch."""
    return Reason(ReasonKind.STORAGE, words)


def service_trouble(error: Exception) -> Reason:
    """The service meets an error with this experiment, and tries again in each round."""
    words = f"the service cannot go on with it: {type(error).__name__}: {error}; each round tries again"
    return Reason(ReasonKind.TROUBLE, words)


def ray_silent(message: str) -> Reason:
    """Ray does not answer, so nothing is known of the driver."""
    return Reason(ReasonKind.RAY_SILENT, f"Ray does not answer: {message}")


def ray_refused(message: str) -> Reason:
    """Ray did not take the driver's job."""
    return Reason(ReasonKind.RAY_REFUSED, f"Ray did not take the job: {message}")


def driver_lost(lost: str) -> Reason:
    """A driver is gone without an outcome; `lost` says which and how."""
    return Reason(ReasonKind.DRIVER_LOST, f"{lost}; the next one is starting")


def asked_to_stop(answer: str | None = None) -> Reason:
    """Ray was asked to stop the driver; `answer` is what it said, if it did not agree."""
    return Reason(ReasonKind.STOPPING, answer or "Ray was asked to stop the driver")


def waits_for_mlflow(num_points: int, error: str) -> Reason:
    """Committed points are not in MLflow yet."""
    return Reason(ReasonKind.WAITS_FOR_MLFLOW, f"{num_points} points wait for MLflow: {error}")


def failed(words: str) -> Reason:
    """It has failed."""
    return Reason(ReasonKind.FAILED, words)


def cancelled(words: str = "cancelled") -> Reason:
    """It was cancelled."""
    return Reason(ReasonKind.CANCELLED, words)
