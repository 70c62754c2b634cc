"""Every type of failure is explained: as data, and in the documentation, with the text that people read."""

import re

import pytest

from service.failures import ABOUT, MAX_LINES, Failure, FailureType
from tests.failure_texts import TEXTS
from tests.root import ROOT

GUIDE = (ROOT / "docs" / "troubleshooting.md").read_text()
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL))


def test_the_guide_has_a_section_for_each_type_and_for_no_other() -> None:
    assert list(SECTIONS) == list(FailureType)


@pytest.mark.parametrize("type_", FailureType)
def test_the_guide_quotes_what_people_read(type_: FailureType) -> None:
    quoted = re.search(r"```text\n(.*?)\n```", SECTIONS[type_], re.DOTALL)
    assert quoted is not None
    assert re.fullmatch(TEXTS[type_], quoted[1]), quoted[1]


@pytest.mark.parametrize("type_", FailureType)
def test_the_guide_says_whether_it_is_retried(type_: FailureType) -> None:
    users, _, clusters = GUIDE.partition("## The cluster's failures")
    assert f"### `{type_}`" in (users if ABOUT[type_].whose == "user" else clusters)
    assert ("Not retried." in SECTIONS[type_]) == (ABOUT[type_].whose == "user")


def test_a_failure_keeps_the_end_of_its_traceback_and_has_a_headline() -> None:
    failure = Failure.of(FailureType.ERROR, "broken", kind="KeyError", trace="\n".join(map(str, range(100))))
    assert failure.traceback.splitlines() == [str(line) for line in range(100 - MAX_LINES, 100)]
    assert failure.summary.as_json() == {"type": "error", "class": "user", "message": "broken"}
