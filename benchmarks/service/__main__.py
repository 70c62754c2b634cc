"""What the service costs, all of it; each half runs alone too.

    python -m benchmarks.service

The API comes first: what is left of a cluster that has just ended would stand in its way.
"""

import subprocess
import sys

HALVES = ("benchmarks.service.api", "benchmarks.service.cluster")


def main() -> int:
    """Run both halves, whatever comes of the first; 0 only if all bounds of both hold."""
    statuses = []
    for half in HALVES:
        statuses.append(subprocess.run([sys.executable, "-m", half], check=False).returncode)
        print(flush=True)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
