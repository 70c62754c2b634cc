"""The meaning of `precision: auto` in an experiment.

A node that can run the experiment's trials decides the precision once. The decision is stored in the experiment's
folder. Every stage, every restart and every verification uses this decision, on any node.
"""

import json
import logging
from collections.abc import Callable
from typing import TypeVar

import ray

from service.runner.connection import connect_to_ray
from service.runner.on_a_node import submitted
from service.spec.experiment import Arm, Experiment, TrainStage
from service.storage import ExperimentFolder
from tet_core.config import SettledPrecision
from tet_core.files import write_once

log = logging.getLogger("service.runner")

AUTO = "auto"
# The time, in s, between two calls of `must_stop` while the driver waits for the node.
LOOK_EVERY_S = 1.0

Level = TypeVar("Level", Experiment, Arm, TrainStage)


def has_auto(spec: Experiment) -> bool:
    """Return whether a spec has `precision: auto` at any level."""
    levels = [spec, *spec.arms, *(stage for arm in spec.arms for stage in arm.stages if isinstance(stage, TrainStage))]
    return any(level.precision == AUTO for level in levels)


def decide_auto(folder: ExperimentFolder, spec: Experiment, must_stop: Callable[[], bool]) -> Experiment:
    """Return the spec with `auto` replaced. If the precision is not decided yet, a node of the cluster decides it.

    Args:
        folder: The experiment's folder.
        spec: The posted spec.
        must_stop: Returns whether to stop waiting for a node. If so, `auto` stays in the spec, and no stage may run.
    """
    if not has_auto(spec):
        return spec
    on_gpu = spec.resources.gpus_per_trial > 0
    file = folder.precision(on_gpu=on_gpu)
    if not file.exists():
        connect_to_ray()
        answer = submitted(_of_this_node, spec.resources, on_gpu)
        while not ray.wait([answer], timeout=LOOK_EVERY_S)[0]:
            if must_stop():
                ray.shutdown()
                return spec
        write_once(file, json.dumps({"precision": ray.get(answer)}).encode())
        ray.shutdown()
    return with_auto_decided(folder, spec)


def with_auto_decided(folder: ExperimentFolder, spec: Experiment) -> Experiment:
    """Return the spec of an experiment that has started, with `auto` replaced by the stored decision."""
    if not has_auto(spec):
        return spec
    file = folder.precision(on_gpu=spec.resources.gpus_per_trial > 0)
    precision: SettledPrecision = json.loads(file.read_bytes())["precision"]
    log.info("precision 'auto' is %s", precision)
    arms = tuple(
        _replace(arm, precision).model_copy(
            update={
                "stages": tuple(
                    _replace(each, precision) if isinstance(each, TrainStage) else each for each in arm.stages
                )
            }
        )
        for arm in spec.arms
    )
    return _replace(spec, precision).model_copy(update={"arms": arms})


def _replace(level: Level, precision: SettledPrecision) -> Level:
    return level.model_copy(update={"precision": precision}) if level.precision == AUTO else level


def _of_this_node(on_gpu: bool) -> SettledPrecision:
    # Imported here, because the driver trains nothing and must not load torch.
    import torch

    from tet_core.environment import fastest_precision

    return fastest_precision(torch.device("cuda" if on_gpu else "cpu"))
