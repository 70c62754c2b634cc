"""Every preset on a real stack: mini presets run to their end, full presets until their first epoch.

    python -m tests.system.presets [--reports FOLDER] [NAME ...]

It prints a line for each preset. The exit status is 1 if a preset failed, and 2 if a name is not that of a preset. The
report of a mini preset must have its figures, and no serious accessibility fault in Debian's chromium (packages
chromium and chromium-driver). Full presets train on small files in the original formats, without a GPU, until an epoch
is committed; then they are cancelled.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from selenium import webdriver

from service.figures.catalogue_of_figures import FigureName
from service.presets import catalogue
from tests.local_stack import ENDED, Json, LocalStack, local_stack
from tests.original_data import NUM_IMAGENET_CLASSES, write_all
from tests.system import accessibility
from tests.system.chromium import chromium

# The longest time, in s, for a mini preset, on two cores.
MINI_S = 600
# The longest time, in s, until a full preset commits its first epoch.
FIRST_EPOCH_S = 300
# What every report shows besides its tables, and what the report of several arms shows too.
OF_TRAININGS = {FigureName.LEARNING_CURVES, FigureName.LOSSES}
OF_SEVERAL_ARMS = {FigureName.DIFFERENCES}
# The figure of the paper that a preset reproduces; tables have none.
OF_THE_PAPER = {
    "Figure 2": FigureName.LANDSCAPE,
    "Figure 3": FigureName.LOSSES,
    "Figure 4A": FigureName.TIME_SWEEP,
    "Figure 4B": FigureName.ENERGY,
}


@dataclass(frozen=True)
class Place:
    """Where presets run: the stack, the browser that opens their reports, and the folder of the reports."""

    stack: LocalStack
    browser: webdriver.Chrome
    reports: Path


def main() -> int:
    """Run the presets with the names on the command line, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.presets", description=__doc__)
    parser.add_argument("--reports", type=Path, default=None, help="folder that keeps the reports")
    parser.add_argument("names", nargs="*", metavar="NAME", help="name of a preset; without one, all run")
    arguments = parser.parse_args()
    return run_all(arguments.names, arguments.reports)


def run_all(names: list[str], reports: Path | None) -> int:
    """Run the presets with these names, or all; return the exit status."""
    if unknown := sorted(set(names) - set(catalogue.presets())):
        print(f"no preset is named {', '.join(unknown)}; there are: {', '.join(catalogue.presets())}", file=sys.stderr)
        return 2
    with chromium() as browser, tempfile.TemporaryDirectory(prefix="tet-presets-") as folder:
        data = Path(folder, "data")
        write_all(data)
        with local_stack(Path(folder, "home"), TET_DATA=str(data)) as stack:
            place = Place(stack, browser, reports or Path(folder, "reports"))
            place.reports.mkdir(parents=True, exist_ok=True)
            known = stack.get("/presets")["presets"]
            chosen = [preset for preset in known if not names or preset["name"] in names]
            print(f"{len(known)} presets, {sum(preset['mini'] for preset in known)} of them minis", flush=True)
            failed = [preset["name"] for preset in chosen if not _run(place, preset)]
    print(f"{len(chosen) - len(failed)} of {len(chosen)} passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _run(place: Place, preset: Json) -> bool:
    start = time.monotonic()
    try:
        message = _mini(place, preset) if preset["mini"] else _full(place.stack, preset)
        passed = True
    except (AssertionError, httpx.HTTPError) as error:
        message, passed = f"{type(error).__name__}: {error}"[:500], False
    print(
        f"{'ok' if passed else 'FAILED':6} {preset['name']:42} {time.monotonic() - start:6.1f} s  {message}", flush=True
    )
    return passed


def _mini(place: Place, preset: Json) -> str:
    """Run an unchanged mini preset until it ends; look at its report."""
    stack = place.stack
    posted = _post(stack, preset["name"], None)
    ended = stack.await_experiment(posted["id"], lambda view: view["state"] in ENDED, within_s=MINI_S)
    assert ended["state"] == "succeeded", f"{ended['state']}: {ended['reason']}"
    done, total = ended["progress"]["stages_done"], ended["progress"]["stages_total"]
    assert done == total == preset["num_trials"], f"{done} of {total} stages, {preset['num_trials']} trials expected"
    arms = stack.get(f"/experiments/{posted['id']}/comparison")["arms"]
    assert [arm["name"] for arm in arms] == preset["arms"]
    _check_report(place, preset, posted["id"])
    return ", ".join(f"{arm['name']} {100 * arm['mean']:.1f}" for arm in arms)


def _check_report(place: Place, preset: Json, experiment: str) -> None:
    file = place.reports / f"{preset['name']}.html"
    place.stack.tet("report", experiment, "-o", str(file))
    page = file.read_text()
    expected = OF_TRAININGS | (OF_SEVERAL_ARMS if len(preset["arms"]) > 1 else set())
    expected |= {OF_THE_PAPER[name] for name in [preset["reproduces"]] if name in OF_THE_PAPER}
    missing = sorted(name for name in expected if f'<figure id="figure-{name}">' not in page)
    assert not missing, f"the report has no figure {', '.join(missing)}"
    serious = [str(fault) for fault in accessibility.faults(place.browser, file) if fault.is_serious]
    assert not serious, serious


def _full(stack: LocalStack, preset: Json) -> str:
    """Validate a full preset; run it on small files, without a GPU, until its first epoch."""
    is_imagenet = preset["spec"]["dataset"]["name"] == "imagenet"
    of_files: Json = {"dataset": {"num_classes": NUM_IMAGENET_CLASSES}} if is_imagenet else {}
    with stack.http as http:
        answer = http.post("/experiments/validate", params={"preset": preset["name"]}, json=of_files)
    assert answer.status_code == 200, answer.text
    trials = answer.json()["num_trials"]
    assert trials == preset["num_trials"]
    here = {"resources": {"gpus_per_trial": 0, "cpus_per_trial": 2}, "seeds": [0]}
    posted = _post(stack, preset["name"], of_files | here)
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
    sys.exit(main())
