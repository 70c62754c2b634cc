"""Trials of several workers on a Ray cluster of several nodes on this machine, undisturbed and with faults.

    python -m tests.system.workers [SCENARIO ...]

It prints whether each promise was kept, and at the end all promises as JSON. The exit status is 1 if a promise
was broken.
"""

import json
import sys
import time

from tests.system.workers.nodes import nodes
from tests.system.workers.scenarios import SCENARIOS, Promises, Stage


def main(names: list[str]) -> int:
    """Play the scenarios with these names, or all scenarios; return the exit status."""
    results: dict[str, Promises] = {}
    with nodes() as (cluster, storage):
        stage = Stage(cluster, storage)
        for name in names or SCENARIOS:
            start = time.monotonic()
            play, num = SCENARIOS[name]
            results[name] = play(stage, num)
            print(f"{name}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
            for promise, is_kept in results[name].items():
                print(f"  {'kept  ' if is_kept else 'BROKEN'}  {promise}", file=sys.stderr, flush=True)
    print(json.dumps(results), flush=True)
    return 0 if all(all(promises.values()) for promises in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
