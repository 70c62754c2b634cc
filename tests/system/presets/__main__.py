"""Every preset through a real stack: minis to their end as they are, full ones into their first epoch.

    python -m tests.system.presets [NAME ...]

Prints a line a preset and ends with 1 if any failed. Full presets train on small files in the original formats,
without a GPU, until an epoch is committed; then they are cancelled. It ends by itself.
"""

import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.local_stack import Json, LocalStack, local_stack
from tests.original_data import NUM_IMAGENET_CLASSES, write_all

MINI_S = 600  # what a mini may take on two cores
FIRST_EPOCH_S = 300
ENDED = ("succeeded", "failed", "cancelled")


def main(names: list[str]) -> int:
    """Run the presets named, or all; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="tet-presets-") as folder:
        data = Path(folder, "data")
        write_all(data)
        with local_stack(Path(folder, "home"), TET_DATA=str(data)) as stack:
            known = stack.get("/presets")["presets"]
            chosen = [preset for preset in known if not names or preset["name"] in names]
            print(f"{len(known)} presets, {sum(preset['mini'] for preset in known)} of them minis", flush=True)
            failed = [preset["name"] for preset in chosen if not _run(stack, preset)]
    print(f"{len(chosen) - len(failed)} of {len(chosen)} passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed or not chosen else 0


def _run(stack: LocalStack, preset: Json) -> bool:
    start = time.monotonic()
    try:
        said = _mini(stack, preset) if preset["mini"] else _full(stack, preset)
        passed = True
    except (AssertionError, httpx.HTTPError) as error:
        said, passed = f"{type(error).__name__}: {error}"[:500], False
    print(f"{'ok' if passed else 'FAILED':6} {preset['name']:42} {time.monotonic() - start:6.1f} s  {said}", flush=True)
    return passed


def _mini(stack: LocalStack, preset: Json) -> str:
    """Posted as it is, with an empty body, it has to succeed."""
    made = _post(stack, preset["name"], None)
    ended = stack.await_experiment(made["id"], lambda found: found["state"] in ENDED, within_s=MINI_S)
    assert ended["state"] == "succeeded", f"{ended['state']}: {ended['reason']}"
    done, total = ended["progress"]["stages_done"], ended["progress"]["stages_total"]
    assert done == total == preset["num_trials"], f"{done} of {total} stages, {preset['num_trials']} trials said"
    arms = stack.get(f"/experiments/{made['id']}/comparison")["arms"]
    assert [arm["name"] for arm in arms] == preset["arms"]
    return ", ".join(f"{arm['name']} {100 * arm['mean']:.1f}" for arm in arms)


def _full(stack: LocalStack, preset: Json) -> str:
    """As it is it has no faults; on small files of its own data, without a GPU, it trains."""
    with stack.http as http:
        answer = http.post("/experiments/validate", params={"preset": preset["name"]})
    assert answer.status_code == 200, answer.text
    trials = answer.json()["num_trials"]
    assert trials == preset["num_trials"]
    changes: Json = {"resources": {"gpus_per_trial": 0, "cpus_per_trial": 2}, "seeds": [0]}
    if preset["spec"]["dataset"]["name"] == "imagenet":
        changes["dataset"] = {"num_classes": NUM_IMAGENET_CLASSES}
    made = _post(stack, preset["name"], changes)
    begun = stack.await_experiment(made["id"], _has_an_epoch, within_s=FIRST_EPOCH_S)
    assert begun["state"] not in ("failed", "cancelled"), f"{begun['state']}: {begun['reason']}"
    with stack.http as http:
        http.post(f"/experiments/{made['id']}/cancel").raise_for_status()
    stack.await_end(made["id"])
    return f"valid, {trials} trials; an epoch trained"


def _has_an_epoch(found: Json) -> bool:
    epochs = (stage["epoch"] for chain in found["chains"] for stage in chain["stages"])
    return found["state"] in ENDED or any(epochs)


def _post(stack: LocalStack, name: str, changes: Json | None) -> Json:
    with stack.http as http:
        answer = http.post("/experiments", params={"preset": name}, json=changes)
    assert answer.status_code == 202, answer.text
    found: Json = answer.json()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
