"""Hostile requests to a real stack beside a running experiment: the promises about what a stranger can do.

    python -m tests.system.hostile [SEED]

It sends specs that ask for too much, bodies of 1 MB, half-sent requests, bad texts and addresses, and 200 variants that
the seed makes, all to 127.0.0.1. It prints each promise with what was measured. The exit status is 1 if a promise was
broken, and 2 if the run could not end within its limit. Either way it ends the stack that it started.
"""

import json
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.local_stack import Json, LocalStack, local_stack
from tests.system.hostile.promises import Measured, promises, report
from tests.system.hostile.scenes import Scenes
from tests.system.hostile.sending import Target
from tests.system.hostile.watching import watched
from tests.system.hostile.webhooks import delivered, receivers

# Seconds after which the run is given up; ending the stack takes some more.
LIMIT_S = 560
# Epochs of the experiment beside the requests: it must still run when the last request is sent.
EPOCHS = 1_200
# Seconds without requests after the last scene, so that the API can free its memory, and drop connections.
REST_S = 3.0
NUM_FILES = 4_096
VARIABLES = {"TET_NUM_CPUS": "1", "TET_WEBHOOK_HOSTS": "127.0.0.1,169.254.169.254,0.0.0.0"}


class OutOfTime(BaseException):
    """The end of the run by its limit or by a signal: no error of a request, so nothing but `main` catches it."""


def main(arguments: list[str]) -> int:
    """Run all scenes of a seed; return the exit status."""
    seed = int(arguments[0]) if arguments else 0
    start = time.monotonic()
    found = Measured()
    try:
        with (
            _limited(),
            tempfile.TemporaryDirectory(prefix="tet-hostile-", ignore_cleanup_errors=True) as folder,
            local_stack(Path(folder), **VARIABLES) as stack,
        ):
            _run(stack, seed, found)
    except OutOfTime as reason:
        print(f"seed {seed}: {reason} after {time.monotonic() - start:.0f} s", flush=True)
        return 2
    results = promises(found)
    num_broken = sum(bool(each.broken) for each in results)
    print(report(results))
    summary = f"{num_broken} promises were broken" if num_broken else "every promise was kept"
    print(f"seed {seed}: {summary}, in {time.monotonic() - start:.0f} s", flush=True)
    return 1 if num_broken else 0


@contextmanager
def _limited() -> Iterator[None]:
    """Raise `OutOfTime` in the context after the limit, or on SIGTERM and SIGINT."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (NUM_FILES if hard == -1 else min(NUM_FILES, hard), hard))
    watching = (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)
    for number in watching:
        signal.signal(number, _give_up)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)


def _give_up(number: int, frame: FrameType | None) -> None:
    # Ignore further signals, because the stack is being ended.
    for each in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: None)
    raise OutOfTime("the run was out of time" if number == signal.SIGALRM else "the run was asked to end")


def _run(stack: LocalStack, seed: int, found: Measured) -> None:
    target = Target("127.0.0.1", stack.settings.api_port)
    api_pid = next(each["pid"] for each in _components(stack) if each["name"] == "api")
    undisturbed = stack.await_end(_posted(stack))
    found.undisturbed = _weights(undisturbed)
    print(f"undisturbed: {undisturbed['state']}, {EPOCHS} epochs", flush=True)
    experiment_id = _posted(stack)
    stack.await_experiment(experiment_id, lambda view: any(stage["epoch"] for stage in view["chains"][0]["stages"]))
    with receivers() as address, watched(target, api_pid) as found.watched:
        for name, scene in Scenes(target, experiment_id, seed).all():
            began = time.monotonic()
            outcomes = scene()
            found.outcomes += outcomes
            slowest = max((each.seconds for each in outcomes), default=0.0)
            print(f"{time.monotonic() - began:6.1f} s  {name}: {len(outcomes)} answers, {slowest:.1f} s", flush=True)
        found.deliveries = delivered(stack, address)
        found.ran_beside = stack.get(f"/experiments/{experiment_id}")["state"] == "running"
        time.sleep(REST_S)
    found.disturbed = _weights(stack.await_end(experiment_id))


def _components(stack: LocalStack) -> list[Json]:
    components: list[Json] = json.loads(stack.tet("status", "--json"))["components"]
    return components


def _posted(stack: LocalStack) -> str:
    stage = {"kind": "train", "T": 2, "epochs": EPOCHS, "loss": {"name": "sdt"}}
    answer = stack.post(
        {
            "name": "beside hostile requests",
            "dataset": {"name": "digits"},
            "model": {"name": "vgg_small", "width": 4},
            "arms": [{"name": "SDT", "stages": [stage]}],
            "seeds": [0],
            "priority": 100,
        }
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _weights(view: Json) -> tuple[str, ...]:
    return tuple(str(stage["weights_sha256"]) for chain in view["chains"] for stage in chain["stages"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
