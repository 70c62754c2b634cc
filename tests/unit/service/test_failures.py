"""Tests that every type of failure is explained, in the code and in the guide, with the message that people read."""

import json
import re

import pytest

from service.events import EVENT, Outcome, StageChanged
from service.failures import ABOUT, MAX_LINES, Failure, FailureSummary, FailureType
from service.states import WorkState
from tests.failure_texts import FAILING_ARMS, PRODUCED_BY, TEXTS
from tests.root import ROOT

GUIDE = (ROOT / "docs" / "troubleshooting.md").read_text()
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL))


def test_the_guide_has_a_section_for_each_type_and_for_no_other() -> None:
    assert list(SECTIONS) == list(FailureType)


@pytest.mark.parametrize("type_", FailureType)
def test_the_guide_quotes_the_message_of_each_type(type_: FailureType) -> None:
    quoted = re.search(r"```text\n(.*?)\n```", SECTIONS[type_], re.DOTALL)
    assert quoted is not None
    assert re.fullmatch(TEXTS[type_], quoted[1]), quoted[1]


@pytest.mark.parametrize("type_", FailureType)
def test_the_guide_says_whether_each_type_is_retried(type_: FailureType) -> None:
    users, _, clusters = GUIDE.partition("## The cluster's failures")
    assert f"### `{type_}`" in (users if ABOUT[type_].whose == "user" else clusters)
    assert ("Not retried." in SECTIONS[type_]) == (ABOUT[type_].whose == "user")


def test_every_type_is_produced_by_a_test() -> None:
    assert {*FAILING_ARMS.values(), *PRODUCED_BY} == set(FailureType)
    for file, _, test in (place.partition("::") for place in PRODUCED_BY.values()):
        assert f"\ndef {test}(" in (ROOT / file).read_text()


def test_a_failure_keeps_the_end_of_its_traceback_and_has_a_headline() -> None:
    failure = Failure.of(FailureType.ERROR, "broken", kind="KeyError", trace="\n".join(map(str, range(100))))
    assert failure.traceback.splitlines() == [str(line) for line in range(100 - MAX_LINES, 100)]
    assert failure.summary.as_json() == {"type": "error", "class": "user", "message": "broken"}


STORED = {"type": "stalled", "class": "cluster", "kind": None, "message": "no step", "traceback": "a\nb"}


def test_an_event_has_a_failure_in_the_form_in_which_it_is_stored_and_served() -> None:
    event = StageChanged(chain="c", stage=0, state=WorkState.FAILED, failure=Failure.model_validate(STORED))
    assert json.loads(event.model_dump_json())["failure"] == STORED
    assert event.model_dump(mode="json")["failure"] == STORED
    assert EVENT.validate_json(event.model_dump_json()) == event


def test_an_outcome_has_the_failures_summary() -> None:
    summary = {key: STORED[key] for key in ("type", "class", "message")}
    event = EVENT.validate_python({"type": "outcome", "state": "failed", "failure": summary})
    assert isinstance(event, Outcome)
    assert event.failure is not None
    assert event.failure.as_json() == summary
    assert event.failure == Failure.model_validate(STORED).summary


@pytest.mark.parametrize(("whose", "type_"), [("cluster", FailureType.NODE_LOST), ("user", FailureType.ERROR)])
def test_a_stored_failure_without_a_type_is_read_in_both_forms(whose: str, type_: FailureType) -> None:
    stored = {"class": whose, "message": "gone"}
    assert [form.model_validate(stored).type for form in (Failure, FailureSummary)] == [type_, type_]


def test_with_message_changes_only_the_message() -> None:
    failure = Failure.model_validate(STORED)
    assert failure.with_message("twice").as_json() == STORED | {"message": "twice"}
