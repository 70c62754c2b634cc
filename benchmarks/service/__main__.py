"""The benchmarks of the service; each can be run alone too.

    python -m benchmarks.service

The API comes first, because processes left from a cluster that has just ended would disturb its measurement.
"""

import sys

from benchmarks.parts import run_all

if __name__ == "__main__":
    sys.exit(run_all(("benchmarks.service.planning", "benchmarks.service.api", "benchmarks.service.cluster")))
