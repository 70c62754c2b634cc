"""Experiments that add seeds until their arms are decided, on a real stack, with killed drivers.

    python -m tests.system.until

The same experiment runs twice: undisturbed, and with its driver killed three times. Both must stop by themselves, at
the same seed and with the same answer. It prints the broken promises; the exit status is 1 if there are any.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from service.storage import ExperimentFolder
from tests.integration.experiment.conftest import driver_process
from tests.local_stack import Json, LocalStack, local_stack

AT_MOST = 14
SPEC: Json = {
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 4},
    "batch_size": 128,
    "arms": [
        {"name": "short", "stages": [{"kind": "train", "T": 1, "epochs": 2, "loss": {"name": "sdt"}}]},
        {"name": "long", "stages": [{"kind": "train", "T": 1, "epochs": 5, "loss": {"name": "sdt"}}]},
    ],
    "seeds": {"first": 0, "at_most": AT_MOST, "until": "decided", "ahead": 1},
}
# The numbers of stages that have ended when the driver is killed.
KILLS = (2, 5, 9)
# The longest wait, in s, for a number of stages or for the end.
LIMIT_S = 900
# The time, in s, between two checks while the program waits for something.
POLL_S = 0.1


def main() -> int:
    """Run both experiments; return the exit status."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tet-until-") as folder, local_stack(Path(folder)) as stack:
        broken = [*differences(run(stack, "undisturbed"), run(stack, "killed", KILLS))]
    for line in broken:
        print(f"BROKEN  {line}")
    result = f"{len(broken)} promises were broken" if broken else "every promise was kept"
    print(f"{result}, in {time.monotonic() - start:.0f} s")
    return 1 if broken else 0


def run(stack: LocalStack, name: str, kills: Sequence[int] = ()) -> Json:
    """Run the experiment to its end, and kill its driver when so many stages have ended.

    Returns:
        The experiment, with `comparison` and `decided`, the entries of its journal without their times.
    """
    answer = stack.post(SPEC | {"name": name})
    assert answer.status_code == 202, answer.text
    folder = ExperimentFolder(stack.settings.storage, answer.json()["id"])
    driver: psutil.Process | None = None
    for at in kills:
        deadline = time.monotonic() + LIMIT_S
        while len([*folder.path.glob("chains/*/*/done.json")]) < at:
            assert time.monotonic() < deadline, f"no {at} stages have ended after {LIMIT_S} s"
            time.sleep(POLL_S)
        driver = driver_process(folder.experiment_id, killed=driver)
        driver.kill()
    path = f"/experiments/{folder.experiment_id}"
    view = stack.await_experiment(folder.experiment_id, lambda each: each["state"] in ("succeeded", "failed"), LIMIT_S)
    entries = [json.loads(file.read_bytes()) for file in sorted(folder.decided.glob("*.json"))]
    decided = [{key: value for key, value in entry.items() if key != "at_ms"} for entry in entries]
    comparison = stack.get(f"{path}/comparison")
    print(f"{name}, its driver killed {len(kills)} times: {view['state']}. {comparison['notes'][0]}", flush=True)
    return view | {"comparison": comparison, "decided": decided}


def differences(undisturbed: Json, killed: Json) -> Iterator[str]:
    """Yield a message for each broken promise."""
    for view in (undisturbed, killed):
        yield from promises(view)
    if undisturbed["decided"] != killed["decided"]:
        yield f"undisturbed, it decided {undisturbed['decided']}; with killed drivers, {killed['decided']}"
    one, other = (view["comparison"]["arms"][1]["versus_baseline"] for view in (undisturbed, killed))
    if one != other:
        yield f"undisturbed, the answer is {one}; with killed drivers, {other}"


def promises(view: Json) -> Iterator[str]:
    """Yield a message for each promise that one experiment has broken."""
    name, versus = view["name"], view["comparison"]["arms"][1]["versus_baseline"]
    if view["state"] != "succeeded":
        yield f"{name} has {view['state']}: {view['reason']}"
    if len(view["decided"]) != 1 or versus["decided_at"] is None:
        yield f"{name} was not decided: {view['decided']}, {versus}"
        return
    (entry,) = view["decided"]
    found = [versus[key] for key in ("decided_at", "n", "verdict", "low", "high")]
    if found != [entry[key] for key in ("seed", "n", "verdict", "low", "high")]:
        yield f"{name}: its answer is {versus}, and its journal says {entry}"
    if entry["n"] >= AT_MOST:
        yield f"{name} did not stop by itself"
    for chain in view["chains"]:
        is_needed = chain["seed"] <= entry["seed"]
        if is_needed and chain["state"] != "succeeded":
            yield f"{name}: seed {chain['seed']} of {chain['arm']} is {chain['state']}"
        if not is_needed and chain["state"] == "stopped" and not chain["reason"].startswith("not needed"):
            yield f"{name}: seed {chain['seed']} of {chain['arm']} was stopped for {chain['reason']!r}"
        if chain["seed"] > entry["seed"] + 2 and chain["state"] != "stopped":
            yield f"{name}: seed {chain['seed']} of {chain['arm']} is {chain['state']}, and nothing needs it"


if __name__ == "__main__":
    sys.exit(main())
