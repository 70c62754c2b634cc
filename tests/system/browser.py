"""A browser follows the links of an experiment: to the arms as curves in MLflow, and to its job in Ray's dashboard.

It needs Debian's packages chromium and chromium-driver. The form of MLflow's saved views is not documented, so nothing
else shows that a new version of MLflow still reads ours.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.local_stack import Json, LocalStack, local_stack
from tests.system import accessibility
from tests.system.chromium import HEIGHT, chromium

TET = {"name": "tet", "lamb": 0.05, "phi": 1.0}
ARMS = [
    {"name": "SDT", "stages": [{"kind": "train", "T": 4, "epochs": 4, "loss": {"name": "sdt"}}]},
    {"name": "TET", "stages": [{"kind": "train", "T": 4, "epochs": 4, "loss": TET}]},
    {
        "name": "TIT",
        "stages": [
            {"kind": "train", "T": 2, "epochs": 2, "loss": TET},
            {"kind": "train", "T": 4, "epochs": 2, "loss": TET},
        ],
    },
]
SPEC: Json = {
    "name": "digits: three arms",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 8},
    "arms": ARMS,
    "baseline": "SDT",
    "seeds": [0, 1, 2],
    "resources": {"cpus_per_trial": 1, "gpus_per_trial": 0, "workers_per_trial": 1},
}
# An experiment that fails: its loss is not finite.
FAILING: Json = SPEC | {
    "name": "not finite",
    "arms": [
        {
            "name": "SDT",
            "stages": [{"kind": "train", "T": 2, "epochs": 2, "loss": {"name": "tet", "lamb": 0.5, "phi": 1e30}}],
        }
    ],
    "seeds": [0],
    "limits": {"max_losses": 1},
}
# The longest wait, in s, for a page to show something.
PAGE_S = 60.0
# The time, in s, after which a page no longer moves.
PAUSE_S = 8.0
# For each chart on a page: its text, and how many of its traces are filled areas.
CHARTS = """
return [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
    text: plot.closest('[data-testid="experiment-view-compare-runs-card"]')?.innerText ?? '',
    curves: plot.data.filter(trace => trace.mode && !trace.fill && trace.x.length > 1).length,
    bands: plot.data.filter(trace => trace.fill && trace.x.length > 1).length,
    top: plot.getBoundingClientRect().top, bottom: plot.getBoundingClientRect().bottom,
}))
"""
# MLflow's name of the button that unfolds the description.
EXPAND = "mlflow.experiment.metadata_editor.expand_button"


def main() -> None:
    """Run the check on a stack of its own; `--images` keeps the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=None, help="folder for the screenshots")
    images = parser.parse_args().images
    with (
        chromium() as browser,
        tempfile.TemporaryDirectory(prefix="tet-browser-") as home,
        local_stack(Path(home)) as stack,
    ):
        experiment = stack.post(SPEC).json()["id"]
        failing = stack.post(FAILING).json()["id"]
        ended = stack.await_end(experiment)
        assert ended["state"] == "succeeded", ended["reason"]
        _check_curves(browser, ended["links"]["mlflow"], images)
        _check_stages(browser)
        _check_job(stack, browser, ended, "SUCCEEDED", images)
        failed = stack.await_end(failing)
        assert failed["state"] == "failed", failed["reason"]
        _check_job(stack, browser, failed, "FAILED", None)
        assert stack.get(f"/experiments/{failing}")["state"] == "failed"
        for each in (experiment, failing):
            _check_report(stack, browser, each, Path(home, f"{each}.html"))
        _check_restart(stack, failed)
    print("ok")


def _check_curves(browser: webdriver.Chrome, link: str, images: Path | None) -> None:
    """Open the link in a fresh browser; in view must be a chart with a mean curve and a band for each arm."""
    browser.get(link)
    deadline = time.monotonic() + PAGE_S
    while not (charts := browser.execute_script(CHARTS)) or not charts[0]["bands"]:
        assert time.monotonic() < deadline, (charts, browser.find_element(By.TAG_NAME, "body").text)
        time.sleep(0.5)
    first = charts[0]
    assert first["text"].startswith("test/accuracy\n"), first
    assert all(f"{arm['name']} (test/accuracy)" in first["text"] for arm in ARMS), first
    assert first["bands"] == len(ARMS), first
    assert first["curves"] >= len(ARMS), first  # MLflow draws some curves twice
    assert 0 < first["top"] < first["bottom"] < HEIGHT, first
    page = browser.find_element(By.TAG_NAME, "body").text
    assert all(f"Group: {arm['name']}" in page for arm in ARMS), page
    assert "TET against SDT is undecided" in page or "TET is " in page, page
    if images is not None:
        time.sleep(PAUSE_S)
        browser.save_screenshot(str(images / "mlflow.png"))


def _check_stages(browser: webdriver.Chrome) -> None:
    """Follow the link of the description to the view of stages: the sections of layers come last."""
    browser.find_element(By.CSS_SELECTOR, f"[data-component-id='{EXPAND}']").click()
    browser.implicitly_wait(PAGE_S)
    link = str(browser.find_element(By.LINK_TEXT, "Curves by stage").get_attribute("href"))
    browser.get("about:blank")  # a link that differs only after the # would not load the page
    browser.get(link)
    browser.find_element(By.XPATH, "//a[contains(., 'stage 2 of 2')]")
    browser.find_element(By.XPATH, "//*[starts-with(normalize-space(text()), 'layers/')]")
    lines = browser.find_element(By.TAG_NAME, "body").text.splitlines()
    assert "Group: tet.arm: TIT, tet.stage: 1" in lines, lines
    ours = [line for line in lines if line in ("test", "train", "Model metrics") or line.startswith("layers/")]
    assert ours.index("Model metrics") < next(at for at, line in enumerate(ours) if line.startswith("layers/")), lines
    assert ours[-1].startswith("layers/"), ours


def _check_report(stack: LocalStack, browser: webdriver.Chrome, experiment: str, file: Path) -> None:
    """Write the report to a file; its page must have no serious accessibility fault."""
    stack.tet("report", experiment, "-o", str(file))
    assert not [str(fault) for fault in accessibility.faults(browser, file) if fault.is_serious]


def _check_restart(stack: LocalStack, experiment: Json) -> None:
    """Restart Ray: there is no link to a job that it has forgotten, and the experiment stays as it is."""
    components = json.loads(stack.tet("status", "--json"))["components"]
    (pid,) = (each["pid"] for each in components if each["name"] == "ray")
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    path = experiment["id"]
    view = stack.await_experiment(path, lambda view: view["links"]["is_ray_job_gone"])
    assert (view["state"], view["links"]["ray"]) == (experiment["state"], None)
    assert "restarted since then" in stack.tet("show", path)


def _check_job(
    stack: LocalStack, browser: webdriver.Chrome, experiment: Json, status: str, images: Path | None
) -> None:
    """Look at a job's status and log; with `images`, also keep its page in Ray's dashboard."""
    job = experiment["links"]["ray"].rpartition("/")[2]
    deadline = time.monotonic() + PAGE_S
    # The experiment's outcome is stored before its driver ends.
    while (found := stack.ray(f"/api/jobs/{job}")["status"]) == "RUNNING":
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert found == status, found
    log = stack.ray(f"/api/jobs/{job}/logs")["logs"]
    assert "Number of trials" not in log, log
    assert " chains succeeded; " in log, log
    if images is not None:
        _show_log(stack, browser, experiment["links"]["ray"])
        browser.save_screenshot(str(images / "ray.png"))


def _show_log(stack: LocalStack, browser: webdriver.Chrome, link: str) -> None:
    """Open a job's page in Ray's dashboard with the token that it asks for, at the driver's lines about progress."""
    browser.get(link)
    browser.implicitly_wait(PAGE_S)
    browser.find_element(By.CSS_SELECTOR, "[role=dialog] input").send_keys(stack.settings.ray_token_file.read_text())
    browser.find_element(By.XPATH, "//*[@role='dialog']//button[not(@disabled)][contains(., 'Submit')]").click()
    time.sleep(PAUSE_S)
    keyword = browser.find_element(By.XPATH, "//label[contains(., 'Keyword')]/..//input")
    keyword.send_keys("INFO", Keys.ENTER)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", keyword)
    time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
