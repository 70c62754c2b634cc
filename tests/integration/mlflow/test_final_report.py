"""Tests of the report and the figures in the run "results" of a real MLflow: whole, once, and in nobody's way."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from service.events import EVENT, Outcome
from service.figures import training_curves
from service.plan import plan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.resampler import Resampler
from service.runner.shipping import final_report
from service.runner.shipping.described_experiment import DescribedExperiment
from service.runner.shipping.final_report import FinalReport, Posted
from service.runner.shipping.mlflow_runs import NOTE_TAG, RESULTS_RUN, MlflowRuns
from service.runner.shipping.results_note import MISSING_TAG
from service.spec import parse
from service.states import ExperimentState
from service.storage import ExperimentFolder
from service.times import for_people
from tests.integration.mlflow.test_outbox import TIT, Bench
from tests.ports import free_ports
from tests.unit.service.spec.test_spec import spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300, func_only=True)]

BODY = spec(arms=[TIT], baseline="TIT", seeds=[0])
SUCCEEDED = Outcome(state=ExperimentState.SUCCEEDED)
FIGURES = {f"figures/{name}.{form}" for name in ("learning-curves", "losses") for form in ("svg", "png")}
REPORTS = {f"report.{form}" for form in ("html", "md", "csv", "tex")}
ALL = FIGURES | REPORTS | {"comparison.json", "comparison.csv"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = ExperimentFolder(tmp_path, secrets.token_hex(10))
    folder.path.mkdir(parents=True)
    folder.spec.write_text(json.dumps(BODY))
    (chain,) = plan(parse(BODY))
    events = EventFile(tmp_path / "events.jsonl")
    yield Bench(folder, chain, tmp_path / "events.jsonl", events)
    events.close()


class Driver:
    """The end of a driver: what ships the chains, and then the report."""

    def __init__(self, url: str, bench: Bench) -> None:
        self.bench, self.client = bench, MlflowClient(url)
        ledger = bench.ledger()
        self.runs = MlflowRuns(url, bench.folder.experiment_id, "bench")
        resampler = Resampler(parse(BODY), ledger, bench.folder, bench.events_file)
        page = DescribedExperiment(parse(BODY), ledger, resampler, self.runs, {})
        self.page = page
        self.report = FinalReport(bench.folder, Posted(), ledger, resampler, self.runs, page)
        self.num_ended = int(ledger.chain_state(bench.chain) == "succeeded")

    def describe(self) -> None:
        self.page.describe(self.num_ended, is_last=True)

    def results(self) -> Run:
        """Return the only run "results"."""
        query = f"tags.`tet.stage` = '{RESULTS_RUN}'"
        (found,) = self.client.search_runs([self.runs.mlflow_experiment()], query)
        return found

    def files(self) -> set[str]:
        """Return the paths of all files of the run."""
        run_id = self.results().info.run_id
        top = self.client.list_artifacts(run_id)
        inner = [file for each in top if each.is_dir for file in self.client.list_artifacts(run_id, each.path)]
        return {file.path for file in (*top, *inner) if not file.is_dir}

    def read(self, path: str, to: Path) -> str:
        return Path(self.client.download_artifacts(self.results().info.run_id, path, str(to))).read_text()


def finished(bench: Bench) -> None:
    bench.commit(0, range(1, 4))
    bench.commit(1, range(1, 3))


def test_the_run_has_the_report_and_the_figures_and_the_description_names_them(
    mlflow_url: str, bench: Bench, tmp_path: Path
) -> None:
    finished(bench)
    driver = Driver(mlflow_url, bench)
    driver.describe()
    tags = driver.results().data.tags
    assert (tags[MISSING_TAG], driver.files()) == (
        "report.html,report.md,report.csv,report.tex,figures",
        {"comparison.json", "comparison.csv"},
    )
    assert "[Report]" not in driver.runs.experiment_tag(NOTE_TAG)
    driver.report.ship(SUCCEEDED)
    run = driver.results()
    assert driver.files() == ALL
    assert (run.data.tags[MISSING_TAG], run.info.status) == ("", "FINISHED")
    assert "generation 1: succeeded." in run.data.tags[NOTE_TAG]
    assert f"/runs/{run.info.run_id}/artifactPath/report.html?" in driver.runs.experiment_tag(NOTE_TAG)
    page = driver.read("report.html", tmp_path)
    assert f"Experiment {bench.folder.experiment_id}, succeeded, ended " in page
    assert 'id="figure-learning-curves"' in page
    assert driver.read("report.csv", tmp_path).splitlines()[1].startswith("test/accuracy,accuracy,,TIT,0,0.9")


def test_a_driver_that_follows_a_killed_one_completes_the_files_and_doubles_none(
    mlflow_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(bench)
    killed = Driver(mlflow_url, bench)
    killed.describe()
    upload = killed.runs.log_content

    def until_killed(run_id: str, name: str, content: bytes) -> None:
        if name == "report.csv":
            raise KeyboardInterrupt
        upload(run_id, name, content)

    monkeypatch.setattr(killed.runs, "log_content", until_killed)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        killed.report.ship(SUCCEEDED)
    assert killed.files() == {"comparison.json", "comparison.csv", "report.html", "report.md"}
    assert killed.results().data.tags[MISSING_TAG]
    for _ in range(2):
        driver = Driver(mlflow_url, bench)
        driver.describe()
        driver.report.ship(SUCCEEDED)
        assert (driver.files(), driver.results().data.tags[MISSING_TAG]) == (ALL, "")


def test_the_end_of_a_retry_replaces_the_files(mlflow_url: str, bench: Bench, tmp_path: Path) -> None:
    bench.commit(0, range(1, 4))
    first = Driver(mlflow_url, bench)
    first.report.ship(Outcome(state=ExperimentState.FAILED, reason="1 of 1 chains failed"))
    assert f"{bench.folder.experiment_id}, failed, ended" in first.read("report.html", tmp_path / "first")
    assert first.files() == REPORTS | {"comparison.json", "comparison.csv"}
    bench.commit(1, range(1, 3))
    second = Driver(mlflow_url, bench)
    second.describe()
    assert "show an earlier end" in second.results().data.tags[NOTE_TAG]
    second.report.ship(SUCCEEDED)
    assert f"{bench.folder.experiment_id}, succeeded, ended" in second.read("report.html", tmp_path / "second")
    assert second.files() == ALL


def test_the_run_names_the_files_that_could_not_be_made_or_uploaded(
    mlflow_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finished(bench)

    def fails(*_: object) -> None:
        raise ZeroDivisionError("an error in a figure")

    monkeypatch.setattr(training_curves, "draw_losses", fails)
    monkeypatch.setattr(final_report, "RETRY_INTERVAL_S", 0.0)
    driver = Driver(mlflow_url, bench)
    driver.describe()
    driver.report.ship(SUCCEEDED)
    missing = {"figures/losses.svg", "figures/losses.png"}
    assert driver.files() == ALL - missing
    tags = driver.results().data.tags
    assert set(tags[MISSING_TAG].split(",")) == missing
    assert "`figures/losses.svg`" in tags[NOTE_TAG]
    assert "an error in a figure" in caplog.text


def test_neither_an_error_nor_a_silent_mlflow_ends_a_driver(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finished(bench)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(final_report, "RETRY_INTERVAL_S", 0.0)
    driver = Driver(f"http://127.0.0.1:{free_ports(1)[0]}", bench)
    driver.report.ship(SUCCEEDED)
    assert caplog.text.count("report.html is not in MLflow") == final_report.NUM_TRIES
    assert "the report of the experiment is not in MLflow" in caplog.text
    caplog.clear()
    bench.folder.spec.write_text("damaged")
    driver.report.ship(SUCCEEDED)
    assert "the report of the experiment is not in MLflow" in caplog.text
    assert driver.bench.ledger().progress(StageId(bench.chain.id, 1)).done is not None


def test_a_driver_ends_with_the_report_and_its_times_are_those_of_its_outcome(
    mlflow_url: str, bench: Bench, tmp_path: Path
) -> None:
    finished(bench)
    bench.folder.drivers.mkdir()
    arguments = {
        "experiment": bench.folder.experiment_id,
        "attempt": "1",
        "storage": str(tmp_path),
        "mlflow-url": mlflow_url,
        "stop-window": "5",
        "tracking-patience": "60",
        "started-at": "2026-01-02T03:04:05+00:00",
    }
    command = [sys.executable, "-m", "service.runner.driver", *(f"--{key}={value}" for key, value in arguments.items())]
    job = subprocess.run(command, capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert "made the report and 8 files in " in job.stdout
    outcome = EVENT.validate_json(bench.folder.events(1).read_bytes().splitlines()[-1])
    assert (outcome.type, getattr(outcome, "state", None)) == ("outcome", "succeeded")
    driver = Driver(mlflow_url, bench)
    (experiment,) = driver.client.search_experiments(
        filter_string=f"tags.`tet.experiment` = '{bench.folder.experiment_id}'"
    )
    (run,) = driver.client.search_runs([experiment.experiment_id], f"tags.`tet.stage` = '{RESULTS_RUN}'")
    page = Path(driver.client.download_artifacts(run.info.run_id, "report.html", str(tmp_path))).read_text()
    assert f"succeeded, started 2026-01-02 03:04:05 UTC, ended {for_people(outcome.at)}" in page


def test_neither_a_driver_nor_a_trial_loads_what_only_reports_need() -> None:
    modules = "service.runner.driver, service.runner.trial.trainable, service.runner.trial.train_stage"
    check = f"import sys, {modules}; print({{'matplotlib', 'jinja2'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "set()\n"
