"""What `precision: auto` stands for in an experiment.

A node that the trials run on says so, once; the answer is kept beside the spec, and every stage, every restart and
every verification goes by it, whatever node it runs on.
"""

import json
import logging
from collections.abc import Callable
from typing import TypeVar

import ray

from service.runner.on_a_node import submitted
from service.spec.experiment import Arm, Experiment, TrainStage
from service.storage import ExperimentFolder
from tet_core.config import SettledPrecision
from tet_core.files import write_once

log = logging.getLogger("service.runner")

AUTO = "auto"
LOOK_EVERY_S = 1.0

Level = TypeVar("Level", Experiment, Arm, TrainStage)


def asks(spec: Experiment) -> bool:
    """Whether anything of a spec leaves its precision to the device."""
    levels = [spec, *spec.arms, *(stage for arm in spec.arms for stage in arm.stages if isinstance(stage, TrainStage))]
    return any(level.precision == AUTO for level in levels)


def settle(folder: ExperimentFolder, spec: Experiment, given_up: Callable[[], bool]) -> Experiment:
    """The spec with `auto` settled, by a node of the cluster if nobody has yet.

    Args:
        folder: The experiment's.
        spec: As it was posted.
        given_up: Whether to wait no longer for a node; then `auto` stays, and no stage is to be run.
    """
    if not asks(spec):
        return spec
    on_gpu = spec.resources.gpus_per_trial > 0
    file = folder.precision(on_gpu=on_gpu)
    if not file.exists():
        ray.init(address="auto", log_to_driver=True, logging_level=logging.WARNING)
        answer = submitted(_of_this_node, spec.resources, on_gpu)
        while not ray.wait([answer], timeout=LOOK_EVERY_S)[0]:
            if given_up():
                ray.shutdown()
                return spec
        write_once(file, json.dumps({"precision": ray.get(answer)}).encode())
        ray.shutdown()
    return settled(folder, spec)


def settled(folder: ExperimentFolder, spec: Experiment) -> Experiment:
    """The spec of an experiment that has begun, with `auto` as it was settled."""
    if not asks(spec):
        return spec
    file = folder.precision(on_gpu=spec.resources.gpus_per_trial > 0)
    precision: SettledPrecision = json.loads(file.read_bytes())["precision"]
    log.info("precision 'auto' is %s", precision)
    arms = tuple(
        _put(arm, precision).model_copy(
            update={
                "stages": tuple(_put(each, precision) if isinstance(each, TrainStage) else each for each in arm.stages)
            }
        )
        for arm in spec.arms
    )
    return _put(spec, precision).model_copy(update={"arms": arms})


def _put(level: Level, precision: SettledPrecision) -> Level:
    return level.model_copy(update={"precision": precision}) if level.precision == AUTO else level


def _of_this_node(on_gpu: bool) -> SettledPrecision:
    # Here: the driver, which trains nothing, is to load no torch.
    import torch

    from tet_core.environment import fastest_precision

    return fastest_precision(torch.device("cuda" if on_gpu else "cpu"))
