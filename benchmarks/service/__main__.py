"""The benchmarks of the service; each can be run alone too.

    python -m benchmarks.service

The API comes first, because processes left from a cluster that has just ended would disturb its measurement.
"""

import sys

from benchmarks.parts import run_all

if __name__ == "__main__":
    parts = ("planning", "api", "answer", "cluster")
    sys.exit(run_all(f"benchmarks.service.{part}" for part in parts))
