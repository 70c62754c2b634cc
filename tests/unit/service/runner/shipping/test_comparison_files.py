"""Tests of the files of the comparison."""

import json

from service.results.answering import view_of
from service.results.comparison import ComparedArm, Result, compare_arms
from service.results.quantities import DEFAULT
from service.results.seeds import SeedState
from service.runner.shipping.comparison_files import comparison_files
from service.states import WorkState


def test_the_files_have_each_value_and_the_difference_at_its_seed() -> None:
    seeds = {seed: SeedState(WorkState.SUCCEEDED) for seed in (0, 1)}
    sdt = ComparedArm("SDT", seeds, {0: Result(0.5, 1.0), 1: Result(0.625, 1.0)})
    tet = ComparedArm("TET, lamb=0", seeds, {1: Result(0.75, 1.0)})
    files = comparison_files(view_of(compare_arms([sdt, tet], "SDT"), DEFAULT))
    assert files["comparison.csv"].decode().splitlines() == [
        "arm,seed,test/accuracy,compared_with,difference",
        "SDT,0,0.5,,",
        "SDT,1,0.625,,",
        '"TET, lamb=0",1,0.75,SDT,0.125',
    ]
    arms = json.loads(files["comparison.json"])["arms"]
    assert [(arm["name"], arm["n"]) for arm in arms] == [("SDT", 2), ("TET, lamb=0", 1)]
