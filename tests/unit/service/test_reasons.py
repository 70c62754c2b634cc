"""Reasons: each has its kind, and words that hold its details."""

import pytest

from service import reasons
from service.reasons import NO_REASON, Reason, ReasonKind

EACH = [
    (NO_REASON, ReasonKind.NONE, ""),
    (reasons.waits_for_node("it is large"), ReasonKind.WAITS_FOR_NODE, "waits for a node: it is large"),
    (reasons.waits_for_owner("ann", 2), ReasonKind.WAITS_FOR_OWNER, "waits: ann may run 2 at once, and does"),
    (reasons.storage_trouble("the storage is full"), ReasonKind.STORAGE, "the storage is full"),
    (
        reasons.service_trouble(OSError("no")),
        ReasonKind.TROUBLE,
        "the service cannot go on with it: OSError: no; each round tries again",
    ),
    (reasons.ray_silent("HTTP 503"), ReasonKind.RAY_SILENT, "Ray does not answer: HTTP 503"),
    (reasons.ray_refused("HTTP 500"), ReasonKind.RAY_REFUSED, "Ray did not take the job: HTTP 500"),
    (reasons.driver_lost("driver 1 is gone"), ReasonKind.DRIVER_LOST, "driver 1 is gone; the next one is starting"),
    (reasons.asked_to_stop(), ReasonKind.STOPPING, "Ray was asked to stop the driver"),
    (reasons.asked_to_stop("HTTP 503"), ReasonKind.STOPPING, "HTTP 503"),
    (reasons.waits_for_mlflow(3, "refused"), ReasonKind.WAITS_FOR_MLFLOW, "3 points wait for MLflow: refused"),
    (reasons.failed("a chain failed"), ReasonKind.FAILED, "a chain failed"),
    (reasons.cancelled(), ReasonKind.CANCELLED, "cancelled"),
]


@pytest.mark.parametrize(("reason", "kind", "words"), EACH)
def test_the_words_follow_from_the_kind_and_its_details(reason: Reason, kind: ReasonKind, words: str) -> None:
    assert reason == Reason(kind, words)


def test_every_kind_has_its_words() -> None:
    assert {kind for _, kind, _ in EACH} == set(ReasonKind)
