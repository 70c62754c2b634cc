"""A program that connects to a cluster as the driver of a job with a variable of its own.

It prints as JSON what a task sees of the variable: after `connect_to_ray`, and after a plain `ray.init`.
"""

import json
import os
import subprocess
import sys

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

from service.runner.connection import connect_to_ray

VARIABLE = "TET_OF_THE_DRIVER"
JOB = {"runtime_env": {"env_vars": {VARIABLE: "1"}}, "metadata": {"experiment": "0123"}}


@ray.remote
def seen() -> str | None:
    return os.environ.get(VARIABLE)


def be_driver(how: str) -> None:
    connect_to_ray() if how == "ours" else ray.init(address="auto", logging_level="ERROR")
    print(json.dumps(ray.get(seen.remote())), flush=True)


def main() -> None:
    context = ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    address = context.address_info["gcs_address"]
    environment = os.environ | {"RAY_ADDRESS": address, RAY_JOB_CONFIG_JSON_ENV_VAR: json.dumps(JOB)}
    found = {}
    for how in ("ours", "plain"):
        command = [sys.executable, "-W", "ignore", __file__, how]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found[how] = json.loads(done.stdout.splitlines()[-1])
    ray.shutdown()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    be_driver(sys.argv[1]) if sys.argv[1:] else main()
