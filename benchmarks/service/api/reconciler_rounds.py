"""The time of a reconciler's round, measured in a separate process while the API is down.

    python -m benchmarks.service.api.reconciler_rounds --count 20

Settings come from the environment, like the API's settings.
"""

import argparse
import json
import os
import sys
import time

from service.control.jobs import RayJobs, token_from
from service.control.reconciler import Reconciler
from service.settings import Settings
from service.store.database import Database


def main() -> int:
    """Run `--count` rounds, and print the time and the processor time of each round, in s, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    count = parser.parse_args().count
    settings = Settings.from_environment()
    database = Database(settings.database_url)
    took, cpu = [], []
    with RayJobs(settings.ray_url, token_from(os.environ, settings.ray_token_file)) as jobs:
        reconciler = Reconciler(database, jobs, settings)
        for _ in range(count):
            start_time, cpu_start_time = time.perf_counter(), time.process_time()
            reconciler.round()
            took.append(time.perf_counter() - start_time)
            cpu.append(time.process_time() - cpu_start_time)
            time.sleep(settings.reconcile_interval_s)
    database.dispose()
    print(json.dumps({"took_s": took, "cpu_s": cpu}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
