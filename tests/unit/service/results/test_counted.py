"""Tests of the facts about the stages of the chains that count."""

from typing import Any

from service.chain_outcomes import CurvesOfStage
from service.curves import StageCurves
from service.results.counted import CountedChains, distinct_facts, num_parameters


def counted(*facts: dict[str, Any] | None) -> CountedChains:
    stages = [
        CurvesOfStage(
            chain=f"c{number}",
            arm=f"arm {number}",
            seed=0,
            configuration=0,
            index=0,
            kind="train",
            T=4,
            curves=None if each is None else StageCurves((), {}, {}, each),
            error="",
        )
        for number, each in enumerate(facts)
    ]
    return CountedChains((), tuple(stages), {})


def test_records_that_do_not_contradict_each_other_are_one() -> None:
    training, analysis = {"torch": "2.13", "num_workers": 1}, {"torch": "2.13", "threads": 2}
    records = counted(*({"environment": each} for each in (training, analysis, {"torch": "2.14"}, training)))
    assert distinct_facts(records, "environment") == [(training | analysis, 3), ({"torch": "2.14"}, 1)]


def test_stages_without_a_record_are_left_out() -> None:
    records = counted(None, {}, {"num_parameters": 7}, {"environment": None})
    assert distinct_facts(records, "environment") == []
    assert num_parameters(records) == {"arm 2": 7}
