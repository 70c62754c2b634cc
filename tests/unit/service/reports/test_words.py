"""Tests of the words of a report."""

import pytest

from service.reports.words import question_of
from service.spec import parse
from tests.unit.service.spec.test_spec import spec


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([3], "; seed 3."),
        ([0, 2], "; seeds 0 and 2."),
        ([*range(10)], "; seeds 0, 1, 2, 3, 4, 5 and 4 more."),
        (
            {"first": 4, "at_most": 20, "until": "decided"},
            "; seeds from 4 on, added until the arms are decided, at most 20.",
        ),
    ],
)
def test_the_question_names_the_seeds(seeds: object, words: str) -> None:
    assert words in question_of(parse(spec(seeds=seeds)), None)
