"""Tests of the tables of transitions."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from service.states import (
    ACTIVE,
    DONE,
    EXPERIMENT_TRANSITIONS,
    TERMINAL,
    WORK_TRANSITIONS,
    ExperimentState,
    WorkState,
)
from tests.root import ROOT

TABLES: list[tuple[type[StrEnum], Mapping[Any, frozenset[Any]], frozenset[Any]]] = [
    (ExperimentState, EXPERIMENT_TRANSITIONS, TERMINAL),
    (WorkState, WORK_TRANSITIONS, DONE),
]
each_table = pytest.mark.parametrize(("states", "table", "ends"), TABLES, ids=["experiment", "work"])


@each_table
def test_every_state_has_its_transitions(
    states: type[StrEnum], table: Mapping[Any, frozenset[Any]], ends: frozenset[Any]
) -> None:
    assert set(table) == set(states)
    assert frozenset().union(*table.values()) <= set(states)


@each_table
def test_only_terminal_states_have_no_transitions(
    states: type[StrEnum], table: Mapping[Any, frozenset[Any]], ends: frozenset[Any]
) -> None:
    assert {state for state in states if not table[state]} == ends


@each_table
def test_every_terminal_state_can_be_reached_from_every_other_state(
    states: type[StrEnum], table: Mapping[Any, frozenset[Any]], ends: frozenset[Any]
) -> None:
    for start in set(states) - ends:
        reached, open_ = set(), {start}
        while open_:
            reached |= open_
            open_ = {after for state in open_ for after in table[state]} - reached
        assert ends <= reached


def test_the_guide_draws_every_state_of_an_experiment() -> None:
    guide = (ROOT / "docs" / "guides" / "life-cycle.md").read_text()
    diagram = guide.partition("```mermaid\n")[2].partition("```")[0]
    assert set(ExperimentState) <= set(re.findall(r"\w+", diagram))


def test_a_state_is_either_active_or_terminal() -> None:
    assert set(ExperimentState) == ACTIVE | TERMINAL
    assert not ACTIVE & TERMINAL


def test_only_a_paused_or_pausing_experiment_is_queued_again() -> None:
    before = {state for state, after in EXPERIMENT_TRANSITIONS.items() if ExperimentState.QUEUED in after}
    assert before == {ExperimentState.QUEUED, ExperimentState.PAUSING, ExperimentState.PAUSED}
