"""Several benchmarks, run one after the other, each in its own process."""

import subprocess
import sys
from collections.abc import Iterable


def run_all(modules: Iterable[str]) -> int:
    """Run every module, even if an earlier one fails; return the exit status: 0 only if all modules exit with 0."""
    statuses = []
    for module in modules:
        statuses.append(subprocess.run([sys.executable, "-m", module], check=False).returncode)
        print(flush=True)
    return int(any(statuses))  # a killed process has a status below 0
