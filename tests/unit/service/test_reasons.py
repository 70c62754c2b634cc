"""Tests of reasons: each has its kind, and words with its details."""

import re

import pytest

from service import reasons
from service.reasons import NO_REASON, Reason, ReasonKind
from tests.root import ROOT

EACH = [
    (NO_REASON, ReasonKind.NONE, ""),
    (reasons.waits_for_node("..."), ReasonKind.WAITS_FOR_NODE, "waits for a node: ..."),
    (
        reasons.waits_for_owner("ann", 2),
        ReasonKind.WAITS_FOR_OWNER,
        "waits: ann already runs 2 experiment(s), the limit for one owner",
    ),
    (reasons.storage_trouble("the storage is full: ..."), ReasonKind.STORAGE, "the storage is full: ..."),
    (
        reasons.service_trouble(OSError("...")),
        ReasonKind.TROUBLE,
        "the service cannot continue the experiment: OSError: ...; each round tries again",
    ),
    (reasons.ray_silent("..."), ReasonKind.RAY_SILENT, "Ray does not answer: ..."),
    (reasons.ray_refused("..."), ReasonKind.RAY_REFUSED, "Ray did not accept the job: ..."),
    (
        reasons.driver_lost("driver 1 is gone (...)"),
        ReasonKind.DRIVER_LOST,
        "driver 1 is gone (...); the next one is starting",
    ),
    (reasons.asked_to_stop(), ReasonKind.STOPPING, "Ray was asked to stop the driver"),
    (reasons.asked_to_stop("HTTP 503"), ReasonKind.STOPPING, "HTTP 503"),
    (reasons.waits_for_mlflow(3, "..."), ReasonKind.WAITS_FOR_MLFLOW, "3 points wait for MLflow: ..."),
    (reasons.failed("a chain failed"), ReasonKind.FAILED, "a chain failed"),
    (reasons.cancelled(), ReasonKind.CANCELLED, "cancelled"),
]


@pytest.mark.parametrize(("reason", "kind", "words"), EACH)
def test_the_words_follow_from_the_kind_and_its_details(reason: Reason, kind: ReasonKind, words: str) -> None:
    assert reason == Reason(kind, words)


def test_every_kind_has_its_words() -> None:
    assert {kind for _, kind, _ in EACH} == set(ReasonKind)


# These need no quotation: NONE has no words, and a failure has its own section in the guide.
EXPLAINED_ELSEWHERE = {ReasonKind.NONE, ReasonKind.FAILED}


def test_the_guide_quotes_every_reason_that_is_not_a_failure() -> None:
    guide = (ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = set(re.findall(r"`([^`]+)`", guide.partition("## Not a failure")[2]))
    explained = {kind for _, kind, words in EACH if words in quoted}
    assert set(ReasonKind) - explained == EXPLAINED_ELSEWHERE
