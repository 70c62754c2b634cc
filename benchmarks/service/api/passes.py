"""What a pass of the reconciler costs, in a process of its own, beside nothing else.

    python -m benchmarks.service.api.passes --count 20

Settings come from the environment, as the API's do.
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
    """Make so many passes and print what each took, in s, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    count = parser.parse_args().count
    settings = Settings.from_environment()
    database = Database(settings.database_url)
    took, cpu = [], []
    with RayJobs(settings.ray_url, token_from(os.environ, settings.ray_token_file)) as jobs:
        reconciler = Reconciler(database, jobs, settings)
        for _ in range(count):
            begun, cpu_begun = time.perf_counter(), time.process_time()
            reconciler.round()
            took.append(time.perf_counter() - begun)
            cpu.append(time.process_time() - cpu_begun)
            time.sleep(settings.reconcile_interval_s)
    database.dispose()
    print(json.dumps({"took_s": took, "cpu_s": cpu}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
