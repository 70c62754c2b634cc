"""Several benchmarks one after the other, each in a process of its own."""

import subprocess
import sys
from collections.abc import Iterable


def run_all(modules: Iterable[str]) -> int:
    """Run every one, whatever comes of those before it; the exit status, 0 only if all of them ended with 0."""
    statuses = []
    for module in modules:
        statuses.append(subprocess.run([sys.executable, "-m", module], check=False).returncode)
        print(flush=True)
    return int(any(statuses))  # one that was killed has a status below 0
