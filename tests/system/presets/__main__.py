"""Every preset on a real stack: mini presets run to their end, full presets until their first epoch.

    python -m tests.system.presets [NAME ...]

It prints a line for each preset. The exit status is 1 if a preset failed, and 2 if a name is not that of a preset. Full
presets train on small files in the original formats, without a GPU, until an epoch is committed; then they are
cancelled.
"""

import sys
import tempfile
import time
from pathlib import Path

import httpx

from service.presets import catalogue
from tests.local_stack import Json, LocalStack, local_stack
from tests.original_data import NUM_IMAGENET_CLASSES, write_all

# The longest time, in s, for a mini preset, on two cores.
MINI_S = 600
# The longest time, in s, until a full preset commits its first epoch.
FIRST_EPOCH_S = 300
ENDED = ("succeeded", "failed", "cancelled")


def main(names: list[str]) -> int:
    """Run the presets with these names, or all; return the exit status."""
    if unknown := sorted(set(names) - set(catalogue.presets())):
        print(f"no preset is named {', '.join(unknown)}; there are: {', '.join(catalogue.presets())}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tet-presets-") as folder:
        data = Path(folder, "data")
        write_all(data)
        with local_stack(Path(folder, "home"), TET_DATA=str(data)) as stack:
            known = stack.get("/presets")["presets"]
            chosen = [preset for preset in known if not names or preset["name"] in names]
            print(f"{len(known)} presets, {sum(preset['mini'] for preset in known)} of them minis", flush=True)
            failed = [preset["name"] for preset in chosen if not _run(stack, preset)]
    print(f"{len(chosen) - len(failed)} of {len(chosen)} passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _run(stack: LocalStack, preset: Json) -> bool:
    start = time.monotonic()
    try:
        message = _mini(stack, preset) if preset["mini"] else _full(stack, preset)
        passed = True
    except (AssertionError, httpx.HTTPError) as error:
        message, passed = f"{type(error).__name__}: {error}"[:500], False
    print(
        f"{'ok' if passed else 'FAILED':6} {preset['name']:42} {time.monotonic() - start:6.1f} s  {message}", flush=True
    )
    return passed


def _mini(stack: LocalStack, preset: Json) -> str:
    """Run an unchanged mini preset until it ends."""
    posted = _post(stack, preset["name"], None)
    ended = stack.await_experiment(posted["id"], lambda view: view["state"] in ENDED, within_s=MINI_S)
    assert ended["state"] == "succeeded", f"{ended['state']}: {ended['reason']}"
    done, total = ended["progress"]["stages_done"], ended["progress"]["stages_total"]
    assert done == total == preset["num_trials"], f"{done} of {total} stages, {preset['num_trials']} trials expected"
    arms = stack.get(f"/experiments/{posted['id']}/comparison")["arms"]
    assert [arm["name"] for arm in arms] == preset["arms"]
    return ", ".join(f"{arm['name']} {100 * arm['mean']:.1f}" for arm in arms)


def _full(stack: LocalStack, preset: Json) -> str:
    """Validate a full preset; run it on small files, without a GPU, until its first epoch."""
    with stack.http as http:
        answer = http.post("/experiments/validate", params={"preset": preset["name"]})
    assert answer.status_code == 200, answer.text
    trials = answer.json()["num_trials"]
    assert trials == preset["num_trials"]
    changes: Json = {"resources": {"gpus_per_trial": 0, "cpus_per_trial": 2}, "seeds": [0]}
    if preset["spec"]["dataset"]["name"] == "imagenet":
        changes["dataset"] = {"num_classes": NUM_IMAGENET_CLASSES}
    posted = _post(stack, preset["name"], changes)
    started = stack.await_experiment(posted["id"], _has_an_epoch, within_s=FIRST_EPOCH_S)
    assert started["state"] not in ("failed", "cancelled"), f"{started['state']}: {started['reason']}"
    with stack.http as http:
        http.post(f"/experiments/{posted['id']}/cancel").raise_for_status()
    stack.await_end(posted["id"])
    return f"valid, {trials} trials; at least one epoch was trained"


def _has_an_epoch(view: Json) -> bool:
    epochs = (stage["epoch"] for chain in view["chains"] for stage in chain["stages"])
    return view["state"] in ENDED or any(epochs)


def _post(stack: LocalStack, name: str, changes: Json | None) -> Json:
    with stack.http as http:
        answer = http.post("/experiments", params={"preset": name}, json=changes)
    assert answer.status_code == 202, answer.text
    experiment: Json = answer.json()
    return experiment


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
