"""Tests of the outbox with a real MLflow: every commit arrives exactly once."""

import json
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from service.events import EVENT, AnyEvent, MlflowExperimentFound, OutboxChanged
from service.failures import Failure, FailureType
from service.plan import Chain, plan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import ChainStop, Ledger
from service.runner.chains.resampler import Resampler
from service.runner.commits.attempt import Attempt
from service.runner.shipping import described_experiment
from service.runner.shipping import outbox as module
from service.runner.shipping.described_experiment import DescribedExperiment
from service.runner.shipping.mlflow_runs import NOTE_TAG, RESULTS_RUN, MlflowRuns
from service.runner.shipping.note_text import BEGIN, END
from service.runner.shipping.outbox import Outbox
from service.runner.shipping.refusals import Refusals
from service.runner.shipping.run_content import chain_points
from service.runner.shipping.saved_view import STAGES_VIEW, VIEW, VIEW_TAG
from service.spec import parse
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.integration.mlflow.conftest import reachable_at
from tests.ports import free_ports
from tests.unit.service.spec.test_spec import spec, tet, train
from tet_core.measure.metric_names import OF_AN_EPOCH

# The limit is short, because an outbox that cannot ship tries forever. It does not include the start of the server.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300, func_only=True)]

# The metrics that all commits share. Each commit adds its own accuracy.
METRICS = {name: 1.0 for name in OF_AN_EPOCH if name != "test/accuracy"} | {"epoch_time_s": 0.5}
TIT = {"name": "TIT", "stages": [train(T=2, epochs=3, loss=tet()), train(epochs=2, loss=tet())]}
NEVER = threading.Event()


@dataclass
class Bench:
    """An experiment's folder, in which a test commits like a trial, and its outbox."""

    folder: ExperimentFolder
    chain: Chain
    events_path: Path
    events_file: EventFile
    others: tuple[Chain, ...] = ()

    def commit(self, stage: int, epochs: range, chain: Chain | None = None) -> None:
        """Start an attempt and commit these epochs, and the marker after the last one."""
        chain = chain or self.chain
        config = chain.stages[stage].config
        attempt = Attempt(self.folder.stage(chain.id, stage))
        attempt.write_started(
            at_ms=1_000,
            resumed_epoch=epochs.start - 1,
            initial_sha256="aa",
            environment={"torch": "2"},
            dataset={"name": "digits", "digest": "d" * 64, "source": "scikit-learn"},
            num_parameters=5,
        )
        for epoch in epochs:
            attempt.checkpoint_path(epoch).write_bytes(b"%d" % epoch)
            metrics = METRICS | {"test/accuracy": 0.9 - abs(epoch - 2) / 10}
            attempt.commit(
                epoch=epoch, epochs=config.epochs, at_ms=1_000 + epoch, metrics=metrics, weights_sha256=f"{epoch:02}"
            )
        if epochs[-1] == config.epochs:
            (attempt.path / "model.pt").write_bytes(b"model")
            attempt.finish(state=WorkState.SUCCEEDED, at_ms=2_000 + stage)

    def ledger(self) -> Ledger:
        """Return a new ledger of the folder."""
        return Ledger(self.folder, [self.chain, *self.others], self.events_file)

    def outbox(self, url: str, refusals: Refusals | None = None, ledger: Ledger | None = None) -> Outbox:
        """Return a new outbox, like that of a new driver."""
        ledger = ledger or self.ledger()
        runs = MlflowRuns(url, self.folder.experiment_id, "bench", "what it is for")
        resampler = Resampler(SPEC, ledger, self.folder, self.events_file)
        page = DescribedExperiment(SPEC, ledger, resampler, runs, {"API": "http://api"})
        return Outbox(self.folder.experiment_id, ledger, runs, self.events_file, self.folder.spec, refusals, page)

    def events(self) -> list[AnyEvent]:
        return [EVENT.validate_json(line) for line in self.events_path.read_bytes().splitlines()]


SPEC = parse(spec(arms=[TIT], baseline="TIT", seeds=[0]))


def chains_of(*seeds: int) -> tuple[Chain, ...]:
    return plan(parse(spec(arms=[TIT], baseline="TIT", seeds=seeds)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = ExperimentFolder(tmp_path, secrets.token_hex(10))
    folder.path.mkdir(parents=True)
    folder.spec.write_text("{}")
    (chain,) = chains_of(0)
    events = EventFile(tmp_path / "events.jsonl")
    yield Bench(folder, chain, tmp_path / "events.jsonl", events)
    events.close()


def runs_of(url: str, bench: Bench) -> tuple[list[Run], list[Run]]:
    """Return the experiment's parent runs, and its child runs in the order of their stages."""
    client = MlflowClient(url)
    (experiment,) = client.search_experiments(filter_string=f"tags.`tet.experiment` = '{bench.folder.experiment_id}'")
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "tet.chain" in run.data.tags]
    children = [run for run in runs if "tet.stage" in run.data.tags]
    return [run for run in runs if run not in children], sorted(
        children, key=lambda run: str(run.data.tags["tet.stage"])
    )


def steps(url: str, run: Run, key: str = "test/accuracy") -> list[int]:
    return [point.step for point in MlflowClient(url).get_metric_history(run.info.run_id, key)]


def test_a_chain_becomes_a_parent_with_a_child_for_each_stage(mlflow_url: str, bench: Bench) -> None:
    bench.commit(0, range(1, 4))
    bench.commit(1, range(1, 3))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (parent,), (first, second) = runs_of(mlflow_url, bench)
    assert "tet.stage" not in parent.data.tags
    ends = {"test/accuracy": 0.9, "test/accuracy_best_test_epoch": 0.9, "train_time_s": 2.5}
    curves = {name: value for name, value in METRICS.items() if name.startswith(("train/", "test/"))}
    assert parent.data.metrics == pytest.approx(curves | ends)
    assert (first.info.start_time, first.info.end_time, first.info.status) == (1_000, 2_000, "FINISHED")
    assert second.data.tags["tet.stage_key"] == f"{bench.folder.experiment_id}/{bench.chain.id}/1"
    assert second.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert second.data.params["loss.lamb"] == "0.05"
    assert [data.dataset.name for data in first.inputs.dataset_inputs] == ["digits"]
    assert len(first.outputs.model_outputs) == 1
    client = MlflowClient(mlflow_url)
    files = {file.path for file in client.list_artifacts(first.info.run_id, "checkpoints")}
    assert files == {"checkpoints/last.pt", "checkpoints/best_test_epoch.pt"}
    best = client.download_artifacts(first.info.run_id, "checkpoints/best_test_epoch.pt")
    assert Path(best).read_bytes() == b"2"
    model = first.outputs.model_outputs[0].model_id
    files = {file.path for file in client.list_logged_model_artifacts(model)}
    assert files == {"MLmodel", "code", "model.pt", "python_env.yaml", "requirements.txt"}
    files = {file.path for file in client.list_logged_model_artifacts(model, "code")}
    assert files == {"code/tet_core.zip", "code/tet_model_loader.py"}


def test_a_chain_has_one_curve_over_its_stages(mlflow_url: str, bench: Bench) -> None:
    for stage, epochs, seen in ((0, range(1, 4), 3), (1, range(1, 2), 4), (1, range(2, 3), 5)):
        bench.commit(stage, epochs)
        assert bench.outbox(mlflow_url).finish(NEVER, 0)
        (parent,), _ = runs_of(mlflow_url, bench)
        for key in ("test/accuracy", "train/loss"):
            assert sorted(steps(mlflow_url, parent, key)) == list(range(1, seen + 1))
    for stage in (0, 1):  # as after a kill before these files are written
        bench.folder.stage(bench.chain.id, stage).path.joinpath("shipped.json").unlink()
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    assert sorted(steps(mlflow_url, parent)) == [1, 2, 3, 4, 5]


def test_a_run_that_an_earlier_version_has_ended_gets_its_curve_and_no_point_twice(
    mlflow_url: str, bench: Bench
) -> None:
    bench.commit(0, range(1, 4))
    bench.commit(1, range(1, 3))
    ledger = bench.ledger()
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (old,), _ = runs_of(mlflow_url, bench)
    client = MlflowClient(mlflow_url)
    client.delete_run(old.info.run_id)
    # An earlier version logged the end of a chain alone, and its records say nothing about curves.
    new = MlflowRuns(mlflow_url, bench.folder.experiment_id, "bench")
    parent = new.run(bench.chain.id, None, name="TIT", tags={}, start_ms=1_000)
    new.log_metrics(parent, chain_points([ledger.progress(StageId(bench.chain.id, stage)) for stage in (0, 1)]))
    for stage in (0, 1):
        record = bench.folder.stage(bench.chain.id, stage).path / "shipped.json"
        values = json.loads(record.read_text())
        record.write_text(json.dumps({key: values[key] for key in ("run_id", "epoch", "attempts", "ended")}))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    assert sorted(point.step for point in client.get_metric_history(parent, "test/accuracy")) == [1, 2, 3, 4, 5]


def test_the_page_of_an_experiment_has_a_view_and_the_table_of_arms(mlflow_url: str, bench: Bench) -> None:
    def page() -> dict[str, str]:
        (experiment,) = client.search_experiments(
            filter_string=f"tags.`tet.experiment` = '{bench.folder.experiment_id}'"
        )
        tags.update(experiment_id=experiment.experiment_id)
        return dict(experiment.tags)

    client, tags = MlflowClient(mlflow_url), dict[str, str]()
    bench.commit(0, range(1, 4))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    assert page().keys() >= {VIEW_TAG + VIEW, VIEW_TAG + STAGES_VIEW}
    assert page()[NOTE_TAG].startswith(f"{BEGIN}\n\n| arm ")
    assert page()[NOTE_TAG].endswith(f"{END}\n\nwhat it is for")
    assert "| TIT | 0 of 1 | - | - | 0 | 0 |" in page()[NOTE_TAG]
    edited = page()[NOTE_TAG].replace("what it is for", "what I have seen")
    client.set_experiment_tag(tags["experiment_id"], NOTE_TAG, edited)
    client.set_experiment_tag(tags["experiment_id"], VIEW_TAG + VIEW, "a view that people have changed")
    bench.commit(1, range(1, 3))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    assert page()[NOTE_TAG].endswith(f"{END}\n\nwhat I have seen")
    assert page()[VIEW_TAG + VIEW] == "a view that people have changed"
    assert "| TIT | 1 of 1 | 90.00 | - | 0 | 0 |" in page()[NOTE_TAG]
    assert "[API](http://api)" in page()[NOTE_TAG]
    found = [event for event in bench.events() if isinstance(event, MlflowExperimentFound)]
    assert {event.view for event in found} == {VIEW}


def test_the_run_results_has_the_files_of_the_comparison_once_however_often_it_is_shipped(
    mlflow_url: str, bench: Bench, tmp_path: Path
) -> None:
    client = MlflowClient(mlflow_url)

    def shipped() -> list[Run]:
        assert bench.outbox(mlflow_url).finish(NEVER, 0)
        (experiment,) = client.search_experiments(
            filter_string=f"tags.`tet.experiment` = '{bench.folder.experiment_id}'"
        )
        return list(client.search_runs([experiment.experiment_id], f"tags.`tet.stage` = '{RESULTS_RUN}'"))

    bench.commit(0, range(1, 4))
    assert shipped() == []
    bench.commit(1, range(1, 3))
    (first,) = shipped()
    assert (first.info.run_name, first.info.status) == ("results", "FINISHED")
    file = client.download_artifacts(first.info.run_id, "comparison.json", str(tmp_path))
    (arm,) = json.loads(Path(file).read_bytes())["arms"]
    assert (arm["name"], arm["n"], arm["mean"]) == ("TIT", 1, 0.9)
    (second,) = shipped()
    assert second.info == first.info


def test_an_error_in_the_comparison_does_not_keep_the_runs_from_mlflow(
    mlflow_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("an error in the statistics")

    monkeypatch.setattr(described_experiment, "answer_of", fail)
    bench.commit(0, range(1, 4))
    bench.commit(1, range(1, 3))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (parent,), _ = runs_of(mlflow_url, bench)
    assert parent.info.status == "FINISHED"
    assert "an error in the statistics" in caplog.text


def test_the_runs_of_a_stopped_chain_have_the_reason_and_the_points_so_far(mlflow_url: str, bench: Bench) -> None:
    bench.commit(0, range(1, 3))
    ledger = bench.ledger()
    ledger.record_stop(bench.chain.id, ChainStop(5_000, "it led nowhere"))
    assert bench.outbox(mlflow_url, ledger=ledger).finish(NEVER, 0)
    (parent,), (only,) = runs_of(mlflow_url, bench)
    assert (parent.info.status, only.info.status, parent.info.end_time) == ("KILLED", "KILLED", 5_000)
    assert parent.data.tags["tet.stopped"] == "it led nowhere"
    assert steps(mlflow_url, only) == [1, 2]


def test_commits_after_the_stop_of_a_chain_are_not_waited_for(mlflow_url: str, bench: Bench) -> None:
    ledger = bench.ledger()
    ledger.record_stop(bench.chain.id, ChainStop(5_000, "another seed's network broke down"))
    outbox = bench.outbox(mlflow_url, ledger=ledger)
    assert outbox.finish(NEVER, 0)  # the chain has not started, so there is nothing to ship
    bench.commit(0, range(1, 2))
    ledger.refresh(StageId(bench.chain.id, 0))
    assert outbox.finish(NEVER, 0)
    assert outbox.pending() == 0


def test_shipping_again_doubles_no_point(mlflow_url: str, bench: Bench) -> None:
    bench.commit(0, range(1, 3))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    bench.folder.stage(bench.chain.id, 0).path.joinpath(
        "shipped.json"
    ).unlink()  # as after a kill before this file is written
    bench.commit(0, range(3, 4))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (parent,), (child,) = runs_of(mlflow_url, bench)
    assert parent.info.status == "RUNNING"  # its second stage has not started
    assert steps(mlflow_url, child) == [1, 2, 3]
    assert child.data.tags["tet.attempt"] == "2"
    assert len(child.inputs.dataset_inputs) == 1
    assert len(child.outputs.model_outputs) == 1


def test_two_simultaneous_drivers_leave_one_run_for_each_stage(mlflow_url: str, bench: Bench) -> None:
    bench.commit(0, range(1, 4))
    bench.commit(1, range(1, 3))
    with ThreadPoolExecutor(2) as pool:
        outboxes = [bench.outbox(mlflow_url) for _ in range(2)]
        list(pool.map(lambda outbox: outbox.ship_once(), outboxes))
    # One may have written to a run that the other one then removed. The next driver ships everything again.
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    parents, children = runs_of(mlflow_url, bench)
    assert (len(parents), len(children)) == (1, 2)
    assert [steps(mlflow_url, child) for child in children] == [[1, 2, 3], [1, 2]]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parents[0].info.run_id}


def test_after_another_driver_removed_a_run_the_remaining_one_is_complete(mlflow_url: str, bench: Bench) -> None:
    ledger = bench.ledger()
    outbox = bench.outbox(mlflow_url, ledger=ledger)
    bench.commit(0, range(1, 3))
    ledger.refresh(StageId(bench.chain.id, 0))
    assert outbox.ship_once() is None
    (parent,), (child,) = runs_of(mlflow_url, bench)
    client = MlflowClient(mlflow_url)
    for run in (parent, child):  # like another driver whose runs have smaller ids
        tags = {key: value for key, value in run.data.tags.items() if key.startswith("tet.")}
        client.create_run(run.info.experiment_id, tags=tags)
        client.delete_run(run.info.run_id)
    bench.commit(0, range(3, 4))
    ledger.refresh(StageId(bench.chain.id, 0))
    assert "must be in the 'active' state" in (outbox.ship_once() or "")
    assert outbox.ship_once() is None
    (new_parent,), (new_child,) = runs_of(mlflow_url, bench)
    assert new_child.info.run_id != child.info.run_id
    assert steps(mlflow_url, new_child) == [1, 2, 3]
    assert new_child.data.tags["mlflow.parentRunId"] == new_parent.info.run_id


def test_points_wait_until_mlflow_answers_again(mlflow_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    bench.commit(0, range(1, 4))
    (port,) = free_ports(1)
    outbox = bench.outbox(f"http://127.0.0.1:{port}")
    assert outbox.ship_once() is not None
    num_points = 3 * (len(METRICS) + 1)
    announced = [event for event in bench.events() if isinstance(event, OutboxChanged)]
    assert [event.pending for event in announced] == [num_points]
    assert announced[0].error
    with reachable_at(mlflow_url, port) as url:
        assert outbox.finish(NEVER, 0)
        _, (child,) = runs_of(url, bench)
        assert steps(url, child) == [1, 2, 3]
    assert [event.pending for event in bench.events() if isinstance(event, OutboxChanged)] == [num_points, 0]


def test_after_a_lasting_refusal_the_outbox_stops_and_a_later_one_ships_the_rest(
    mlflow_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_INTERVAL_S", 0.1)
    bench.commit(0, range(1, 3))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (parent,), _ = runs_of(mlflow_url, bench)
    client = MlflowClient(mlflow_url)
    client.delete_experiment(parent.info.experiment_id)
    bench.commit(0, range(3, 4))
    outbox = bench.outbox(mlflow_url, Refusals(patience_s=0.3))
    assert not outbox.finish(NEVER, 0)
    assert "must be in the 'active' state" in (outbox.refusal or "")
    assert outbox.pending() == len(METRICS) + 1
    client.restore_experiment(parent.info.experiment_id)
    assert bench.outbox(mlflow_url, Refusals(patience_s=0.3)).finish(NEVER, 0)
    _, (child,) = runs_of(mlflow_url, bench)
    assert steps(mlflow_url, child) == [1, 2, 3]


def test_a_refusal_for_one_chain_does_not_delay_the_other_chains(mlflow_url: str, bench: Bench) -> None:
    _, other = chains_of(0, 1)
    bench.others = (other,)
    runs = MlflowRuns(mlflow_url, bench.folder.experiment_id, "bench")
    parent = runs.run(bench.chain.id, None, name="of another writer", tags={}, start_ms=0)
    runs.log_params(parent, {"arm": "of another name"})
    for chain in (bench.chain, other):
        bench.commit(0, range(1, 3), chain)
    outbox = bench.outbox(mlflow_url)
    assert "'of another name'" in (outbox.ship_once() or "")
    assert outbox.pending() == 2 * (len(METRICS) + 1)
    _, (child,) = runs_of(mlflow_url, bench)
    assert (child.data.tags["tet.chain"], steps(mlflow_url, child)) == (other.id, [1, 2])


def test_a_cancelled_experiment_does_not_wait_for_mlflow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    bench.commit(0, range(1, 3))
    outbox = bench.outbox(f"http://127.0.0.1:{free_ports(1)[0]}")
    outbox.start()
    cancelled = threading.Event()
    cancelled.set()
    assert not outbox.finish(cancelled, cancel_shipping_s=0)
    outbox.kill_unfinished()  # MLflow does not answer, which is only a warning


def test_a_cancelled_experiment_ships_for_a_limited_time_at_the_usual_interval(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    bench.commit(0, range(1, 3))
    outbox = bench.outbox(f"http://127.0.0.1:{free_ports(1)[0]}")
    tries: list[str | None] = []
    ship = outbox.ship_once

    def counted(**given: bool) -> str | None:
        tries.append(ship(**given))
        return tries[-1]

    monkeypatch.setattr(outbox, "ship_once", counted)
    monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.2)
    cancelled = threading.Event()
    cancelled.set()
    assert not outbox.finish(cancelled, cancel_shipping_s=0.5)
    assert 2 <= len(tries) <= 5


def test_the_next_driver_reopens_the_runs_that_a_stopped_one_closed(mlflow_url: str, bench: Bench) -> None:
    bench.commit(0, range(1, 3))
    stopped = bench.outbox(mlflow_url)
    assert stopped.finish(NEVER, 0)
    stopped.kill_unfinished()
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (parent,), (child,) = runs_of(mlflow_url, bench)
    assert (parent.info.status, child.info.status) == ("RUNNING", "RUNNING")
    bench.commit(0, range(3, 4))
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (parent,), (child,) = runs_of(mlflow_url, bench)
    assert (parent.info.status, child.info.status, child.info.end_time) == ("RUNNING", "FINISHED", 2_000)


def test_the_longest_texts_of_a_spec_can_be_logged(mlflow_url: str, bench: Bench) -> None:
    runs = MlflowRuns(mlflow_url, bench.folder.experiment_id, "ü" * 80, "é" * 10_000)
    assert MlflowRuns(mlflow_url, bench.folder.experiment_id, "ü" * 80).mlflow_experiment() == runs.mlflow_experiment()
    run_id = runs.run("c", None, name="a 'quoted' 100% ü", tags={"tet.arm": "'; --"}, start_ms=1)
    runs.set_tags(run_id, {"tet.failure": "x" * 100_000})
    runs.log_params(run_id, {f"p{i}": "y" * 10_000 for i in range(250)})
    runs.log_metrics(run_id, [Metric("m", step, 1, step) for step in range(2_500)])
    client = MlflowClient(mlflow_url)
    run = client.get_run(run_id)
    assert (len(run.data.params), run.data.tags["tet.arm"]) == (250, "'; --")
    assert len(client.get_metric_history(run_id, "m")) == 2_500


def test_simultaneous_writers_of_one_run_keep_the_same_run(mlflow_url: str, bench: Bench) -> None:
    writers = [MlflowRuns(mlflow_url, bench.folder.experiment_id, "race") for _ in range(6)]

    def find(runs: MlflowRuns) -> None:
        runs.run("c", 0, name="r", tags={"tet.stage": "0"}, start_ms=1)
        runs.run("c", None, name="r", tags={}, start_ms=1)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(find, writers))
    for runs in writers:
        runs.forget()
    assert len({runs.run("c", 0, name="r", tags={"tet.stage": "0"}, start_ms=1) for runs in writers}) == 1
    assert len({runs.run("c", None, name="r", tags={}, start_ms=1) for runs in writers}) == 1
    assert len(runs_of(mlflow_url, bench)[0]) == len(runs_of(mlflow_url, bench)[1]) == 1


def test_cancelled_runs_are_closed(mlflow_url: str, bench: Bench) -> None:
    bench.commit(0, range(1, 3))
    outbox = bench.outbox(mlflow_url)
    assert outbox.finish(NEVER, 0)
    outbox.kill_unfinished()
    (parent,), (child,) = runs_of(mlflow_url, bench)
    assert (parent.info.status, child.info.status) == ("KILLED", "KILLED")


def test_the_run_of_a_failed_stage_has_the_failure(mlflow_url: str, bench: Bench) -> None:
    bench.commit(0, range(1, 3))
    failure = Failure.of(FailureType.NOT_FINITE, "the loss is nan", kind="FloatingPointError")
    Attempt(bench.folder.stage(bench.chain.id, 0)).finish(state=WorkState.FAILED, at_ms=3_000, failure=failure)
    assert bench.outbox(mlflow_url).finish(NEVER, 0)
    (parent,), (child,) = runs_of(mlflow_url, bench)
    assert (parent.info.status, child.info.status) == ("FAILED", "FAILED")
    assert child.data.tags["tet.failure"] == "not_finite: the loss is nan"
    assert steps(mlflow_url, child) == [1, 2]


def test_the_ledger_has_the_state_of_a_chain(bench: Bench) -> None:
    bench.commit(0, range(1, 4))
    ledger = Ledger(bench.folder, [bench.chain], bench.events_file)
    assert (ledger.done_stages(bench.chain), ledger.chain_state(bench.chain)) == (1, "running")
    bench.commit(1, range(1, 3))
    ledger.refresh(StageId(bench.chain.id, 1))
    assert (ledger.done_stages(bench.chain), ledger.chain_state(bench.chain)) == (2, "succeeded")
