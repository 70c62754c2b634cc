"""Many short experiments posted at once on a real stack: the promises about the queue and about cancellations.

    python -m tests.system.queue [SEED]

32 experiments run four at a time, by priority and then by age. Some are cancelled in the queue, while they run, or at a
random time. It prints a line when each ends, and a table at the end. The exit status is 1 if a promise was broken.
"""

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import httpx

from tests.local_stack import LocalStack, local_stack
from tests.system.queue.checks import check_all, table
from tests.system.queue.crowd import NUM_EXPERIMENTS, Fate, Member, crowd

MAX_RUNNING = 4
# The longest time, in s, until all experiments have ended.
LIMIT_S = 2_400
# The time, in s, between two rounds of requests.
POLL_S = 0.5
VARIABLES = {
    "TET_MAX_RUNNING": str(MAX_RUNNING),
    "TET_PRIORITY_AGING_S": "86400",  # no priority changes during the run
    "TET_NUM_CPUS": "4",
}


def main(arguments: list[str]) -> int:
    """Run the crowd of a seed; return the exit status."""
    seed = int(arguments[0]) if arguments else 0
    members = crowd(seed)
    print(f"{NUM_EXPERIMENTS} experiments of seed {seed}, {MAX_RUNNING} at once", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tet-queue-") as folder, local_stack(Path(folder), **VARIABLES) as stack:
        post_all(stack, members)
        run_all(stack, members)
        broken = check_all(stack, members, MAX_RUNNING)
    print(table(members))
    for line in broken:
        print(f"BROKEN  {line}")
    summary = f"{len(broken)} promises were broken" if broken else "every promise was kept"
    print(f"seed {seed}: {summary}, in {time.monotonic() - start:.0f} s")
    return 1 if broken else 0


def post_all(stack: LocalStack, members: list[Member]) -> None:
    """Post all experiments at the same time."""
    together = Barrier(len(members))

    def post(member: Member) -> None:
        together.wait()
        answer = stack.post(member.spec)
        assert answer.status_code == 202, answer.text
        member.id = answer.json()["id"]

    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(post, members))


def run_all(stack: LocalStack, members: list[Member]) -> None:
    """Cancel experiments when it is their time, until all have ended."""
    posted = time.monotonic()
    with stack.http as http:
        while pending := [member for member in members if not member.has_ended]:
            assert time.monotonic() - posted < LIMIT_S, f"{len(pending)} have not ended after {LIMIT_S} s"
            for member in pending:
                member.view = http.get(f"/experiments/{member.id}").raise_for_status().json()
                if _is_due(member, time.monotonic() - posted):
                    _cancel(http, member)
                if member.has_ended:
                    _print_end(member, time.monotonic() - posted)
            time.sleep(POLL_S)


def _is_due(member: Member, after_s: float) -> bool:
    """Return whether it is time to cancel an experiment."""
    if member.fate is Fate.RUNS or member.cancelled_at is not None or member.refused:
        return False
    return _epochs(member) >= member.cancel_after if member.fate is Fate.RUNNING else after_s >= member.cancel_after


def _cancel(http: httpx.Client, member: Member) -> None:
    request_time = datetime.now(UTC)
    answer = http.post(f"/experiments/{member.id}/cancel")
    assert answer.status_code in (202, 409), answer.text
    if answer.status_code == 202:
        member.cancelled_at = request_time
    else:
        member.refused = True


def _epochs(member: Member) -> int:
    return sum(int(stage["epoch"]) for chain in member.view["chains"] for stage in chain["stages"])


def _print_end(member: Member, after_s: float) -> None:
    state, reason = member.view["state"], member.view["reason"]
    why = f"  {reason}" if reason else ""
    print(f"{after_s:6.1f} s  {member.view['name']:28} {state:10} {_epochs(member)} epochs{why}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
