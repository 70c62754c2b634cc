"""Tests of the description of an experiment in MLflow."""

import pytest

from service.answers.comparisons import ComparisonView
from service.runner.shipping.arms_table import ArmRow
from service.runner.shipping.note_text import MAX_EXPERIMENT_TAG, our_part, with_our_part

ANSWER = ComparisonView(
    quantity="test/accuracy",
    baseline="SDT",
    arms=[],
    verdicts=["A*B is better."],
    notes=["A*B is better.", "SDT: 1 failed"],
)


def test_the_verdict_comes_first_then_the_table_the_notes_and_the_links() -> None:
    part = our_part(ANSWER, [ArmRow("SDT", [0.9], num_chains=1)], {"Curves": "#/x"})
    lines = [line for line in part.splitlines() if line]
    assert lines[0] == r"**A\*B is better.**"
    assert lines[3] == "| SDT | 1 of 1 | 90.00 | - | 0 | 0 |"
    assert lines[-2:] == ["- SDT: 1 failed", "[Curves](#/x)"]


@pytest.mark.parametrize("text", ["", "what it is for"])
def test_our_part_is_put_before_the_text_of_the_author_and_then_replaced(text: str) -> None:
    once = with_our_part(text, "the first")
    assert once.endswith(f"\n\n{text}" if text else "-->")
    edited = f"{once}\n\nwhat I have seen"
    assert with_our_part(edited, "the second") == edited.replace("the first", "the second")
    assert with_our_part(once, "the first") == once


def test_a_text_that_leaves_no_room_is_kept_as_it_is() -> None:
    text = "x" * (MAX_EXPERIMENT_TAG - 10)
    assert with_our_part(text, "the answer") == text
