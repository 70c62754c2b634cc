"""What the service costs, all of it; each half runs alone too.

    python -m benchmarks.service

The API comes first: what is left of a cluster that has just ended would stand in its way.
"""

import sys

from benchmarks.parts import run_all

if __name__ == "__main__":
    sys.exit(run_all(("benchmarks.service.api", "benchmarks.service.cluster")))
