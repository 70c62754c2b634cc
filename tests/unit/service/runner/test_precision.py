"""Tests of `precision: auto`: it is decided once, for every level, stage and driver."""

import json
from typing import Any

import pytest

from service.plan import plan
from service.runner import precision
from service.spec import Experiment, parse
from service.storage import ExperimentFolder
from tests.unit.service.spec.test_spec import spec, tet, train
from tet_core.config import TrainConfig
from tet_core.files import write_once


def posted(**changes: Any) -> Experiment:
    arms = [
        {"name": "A", "stages": [train(loss=tet())]},
        {"name": "B", "precision": "float64", "stages": [train(loss=tet(), precision="auto"), train(loss=tet())]},
        {"name": "C", "precision": "auto", "stages": [train(loss=tet()), {"kind": "time_sweep", "T": [1]}]},
    ]
    return parse(spec(**({"arms": arms, "seeds": [0], "baseline": "A"} | changes)))


def precisions(decided: Experiment) -> list[list[str]]:
    return [
        [stage.config.precision for stage in chain.stages if isinstance(stage.config, TrainConfig)]
        for chain in plan(decided)
    ]


def test_every_auto_is_replaced_by_the_decision(experiment: ExperimentFolder) -> None:
    write_once(experiment.precision(on_gpu=False), json.dumps({"precision": "bfloat16"}).encode())
    assert precisions(precision.with_auto_decided(experiment, posted())) == [
        ["float32"],
        ["bfloat16", "float64"],
        ["bfloat16"],
    ]
    of_all = precision.with_auto_decided(experiment, posted(precision="auto"))
    assert precisions(of_all) == [["bfloat16"], ["bfloat16", "float64"], ["bfloat16"]]


def test_a_later_driver_uses_the_stored_decision_and_asks_no_node(experiment: ExperimentFolder) -> None:
    write_once(experiment.precision(on_gpu=False), json.dumps({"precision": "float16"}).encode())
    write_once(experiment.precision(on_gpu=False), json.dumps({"precision": "bfloat16"}).encode())
    decided = precision.decide_auto(experiment, posted(), lambda: pytest.fail("it waited"))
    assert precisions(decided)[2] == ["float16"]
    assert sorted(entry.name for entry in experiment.path.iterdir()) == ["precision-cpu.json"]


def test_each_device_has_a_decision_of_its_own(experiment: ExperimentFolder) -> None:
    for on_gpu, answer in ((False, "float32"), (True, "bfloat16")):
        write_once(experiment.precision(on_gpu=on_gpu), json.dumps({"precision": answer}).encode())
        body = posted(resources={"gpus_per_trial": int(on_gpu)})
        assert precisions(precision.decide_auto(experiment, body, lambda: pytest.fail("it waited")))[2] == [answer]


def test_without_auto_nothing_is_decided(experiment: ExperimentFolder) -> None:
    arms = [{"name": "A", "stages": [train(loss=tet())]}]
    plain = posted(arms=arms)
    assert precision.decide_auto(experiment, plain, lambda: pytest.fail("it waited")) is plain
    assert precision.with_auto_decided(experiment, plain) is plain
    assert not experiment.precision(on_gpu=False).exists()
