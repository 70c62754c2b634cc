"""Reasons: why an experiment is in its state, as a kind for decisions and as words for people.

All reasons are made here; some of their words come from the caller. No code reads the words back: decisions depend on
the kind alone.
"""

from dataclasses import dataclass
from enum import StrEnum


class ReasonKind(StrEnum):
    """The kinds of reasons; stored together with the words."""

    NONE = "none"  # there is nothing to explain
    WAITS_FOR_NODE = "waits_for_node"
    WAITS_FOR_OWNER = "waits_for_owner"  # the owner runs as many experiments as one owner may
    STORAGE = "storage"  # the shared storage is full or cannot be written
    TROUBLE = "trouble"  # the service itself meets an error
    RAY_SILENT = "ray_silent"
    RAY_REFUSED = "ray_refused"  # Ray did not accept the driver's job
    DRIVER_LOST = "driver_lost"
    STOPPING = "stopping"  # Ray was asked to stop the driver
    WAITS_FOR_MLFLOW = "waits_for_mlflow"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Reason:
    """A kind, for decisions, and the words that people read."""

    kind: ReasonKind
    words: str


NO_REASON = Reason(ReasonKind.NONE, "")


def waits_for_node(detail: str) -> Reason:
    """Return the reason of an experiment that no node can run now."""
    return Reason(ReasonKind.WAITS_FOR_NODE, f"waits for a node: {detail}")


def waits_for_owner(owner: str, limit: int) -> Reason:
    """Return the reason of an experiment whose owner already runs as many experiments as one owner may."""
    return Reason(
        ReasonKind.WAITS_FOR_OWNER,
        f"waits: {owner} already runs {limit} experiment(s), the limit for one owner",
    )


def storage_trouble(words: str) -> Reason:
    """Return the reason of an experiment that waits for the storage; `words` come from the storage watch."""
    return Reason(ReasonKind.STORAGE, words)


def service_trouble(error: Exception) -> Reason:
    """Return the reason of an experiment that the service cannot continue, because of an error of its own."""
    words = f"the service cannot continue the experiment: {type(error).__name__}: {error}; each round tries again"
    return Reason(ReasonKind.TROUBLE, words)


def ray_silent(message: str) -> Reason:
    """Return the reason of an experiment whose driver's state is unknown, because Ray does not answer."""
    return Reason(ReasonKind.RAY_SILENT, f"Ray does not answer: {message}")


def ray_refused(message: str) -> Reason:
    """Return the reason of an experiment whose driver Ray did not accept as a job."""
    return Reason(ReasonKind.RAY_REFUSED, f"Ray did not accept the job: {message}")


def driver_lost(lost: str) -> Reason:
    """Return the reason of an experiment whose driver is gone without an outcome; `lost` says which driver, and how."""
    return Reason(ReasonKind.DRIVER_LOST, f"{lost}; the next one is starting")


def asked_to_stop(answer: str | None = None) -> Reason:
    """Return the reason of an experiment whose driver Ray was asked to stop; `answer` is Ray's answer if it refused."""
    return Reason(ReasonKind.STOPPING, answer or "Ray was asked to stop the driver")


def waits_for_mlflow(num_points: int, error: str) -> Reason:
    """Return the reason of an experiment with committed points that are not in MLflow yet."""
    return Reason(ReasonKind.WAITS_FOR_MLFLOW, f"{num_points} points wait for MLflow: {error}")


def failed(words: str) -> Reason:
    """Return the reason of a failed experiment."""
    return Reason(ReasonKind.FAILED, words)


def cancelled(words: str = "cancelled") -> Reason:
    """Return the reason of a cancelled experiment."""
    return Reason(ReasonKind.CANCELLED, words)
