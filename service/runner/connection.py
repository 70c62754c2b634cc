"""The connection of a job's driver to its Ray cluster."""

import json
import logging
import os

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR


def connect_to_ray() -> None:
    """Connect this process to the cluster that runs it as a job.

    The job's variables are the driver's alone. A process with variables of its own has to be started for them, while
    Ray has processes without any ready on each node.
    """
    text = os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR)
    if text is not None:
        config = json.loads(text)
        config.pop("runtime_env", None)
        os.environ[RAY_JOB_CONFIG_JSON_ENV_VAR] = json.dumps(config)
    ray.init(address="auto", log_to_driver=True, logging_level=logging.WARNING)
