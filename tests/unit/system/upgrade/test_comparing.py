"""Tests of the comparison of results: it must find every difference."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy

import pytest

from tests.system.upgrade import comparing
from tests.system.upgrade.results import Results

STAGE = "TET, seed 0, chain 0123ab, stage 0"
LATER = "TET, seed 0, chain 0123ab, stage 1"


def results() -> Results:
    """Return the results of two stages, of which the second one has not ended."""
    return Results(
        states={STAGE: "succeeded at 2 of 2", LATER: "waiting at 1 of 2"},
        hashes={STAGE: "a" * 64, LATER: "b" * 64},
        series={STAGE: [("test/loss", 1, 0.5), ("test/loss", 2, 0.25)], LATER: [("test/loss", 1, 0.125)]},
        times={STAGE: Counter({("epoch_time_s", 1): 1, ("epoch_time_s", 2): 1})},
        runs={STAGE: ["r1"], LATER: ["r2"]},
        attempts={STAGE: 1, LATER: 1},
    )


def test_equal_results_do_not_differ() -> None:
    assert comparing.outcomes(results(), results()) == []
    assert comparing.kept(results(), results()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it.states.update({STAGE: "failed at 2 of 2"}), "state of TET, seed 0"),
        (lambda it: it.hashes.update({STAGE: "c" * 64}), "weights of TET, seed 0"),
        (lambda it: it.hashes.pop(LATER), "weights of TET, seed 0"),
        (lambda it: it.series[STAGE].append(("test/loss", 3, 0.1)), "became [('test/loss', 3, 0.1)] (of 2 and 3)"),
        (lambda it: it.times[STAGE].update({("epoch_time_s", 1): 1}), "times of TET, seed 0"),
        (lambda it: it.runs[STAGE].append("r3"), "number of runs of TET, seed 0"),
    ],
)
def test_every_difference_is_reported(change: Callable[[Results], object], message: str) -> None:
    other = results()
    change(other)
    (line,) = comparing.outcomes(results(), other)
    assert message in line


def test_outcomes_may_differ_in_run_ids_and_attempts() -> None:
    other = results()
    other.runs, other.attempts = {STAGE: ["r8"], LATER: ["r9"]}, {STAGE: 3, LATER: 3}
    assert comparing.outcomes(results(), other) == []


def test_a_stage_that_had_not_ended_may_continue_in_its_run() -> None:
    later = results()
    later.hashes[LATER], later.attempts[LATER] = "d" * 64, 2
    later.series[LATER].append(("test/loss", 2, 0.0625))
    assert comparing.kept(results(), later) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it.runs.update({LATER: ["r7"]}), "runs of"),
        (lambda it: it.attempts.update({STAGE: 2}), "attempts of"),
        (lambda it: it.hashes.update({STAGE: "c" * 64}), "weights of"),
    ],
)
def test_a_stage_that_had_ended_must_not_change(change: Callable[[Results], object], message: str) -> None:
    later = results()
    change(later)
    (line,) = comparing.kept(results(), later)
    assert line.startswith(message)


def test_the_rest_of_many_differences_is_counted() -> None:
    first = Results(hashes={str(number): "a" for number in range(9)})
    second = Results(hashes={str(number): "b" for number in range(9)})
    lines = comparing.outcomes(first, second)
    assert lines[-1] == "weights: 4 more differ"


def test_answers_are_compared_by_the_fields_that_both_have() -> None:
    old = {"state": "paused", "owner": "local", "chains": [{"epoch": 1, "old": 0}, {"epoch": 2, "old": 0}]}
    new = {"state": "paused", "reason": "new", "chains": [{"epoch": 1}, {"epoch": 3}]}
    assert list(comparing.common("", old, new)) == [".chains[1].epoch: 2 became 3"]
    assert sorted(comparing.dropped("", old, new)) == [".chains[].old", ".owner"]
    shorter = deepcopy(new) | {"chains": []}
    assert next(comparing.common("", old, shorter)).startswith(".chains: ")
    assert comparing.num_values(old) == 6
