"""All of it; each part runs alone too.

python -m benchmarks.training
"""

import subprocess
import sys

PARTS = ("benchmarks.training.around", "benchmarks.training.steps")


def main() -> int:
    """Run every part, whatever comes of the first; 0 only if all bounds of all hold."""
    statuses = []
    for part in PARTS:
        statuses.append(subprocess.run([sys.executable, "-m", part], check=False).returncode)
        print(flush=True)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
