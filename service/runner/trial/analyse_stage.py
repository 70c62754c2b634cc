"""A trial that analyses: one attempt at an analysis.

It commits each row as a training commits an epoch, with the row's records instead of a checkpoint.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import read_commits, read_progress, read_started
from service.runner.commits.records import Commit
from service.runner.trial.common import Gauges, line_writer, load_last, now_ms, report
from service.runner.trial.config import TrialConfig, TrialEnd
from service.runner.trial.heartbeat import Heartbeat
from service.spec.blocks import Limits
from service.states import WorkState
from service.storage import StageFolder
from tet_core import environment
from tet_core.analysis import Record, Row, Rows, analyse, write_results
from tet_core.checkpoint import EnvironmentMismatch
from tet_core.config import RESULTS, AnalysisConfig
from tet_core.data import check_reader
from tet_core.files import write_atomic


def run_analysis(trial: TrialConfig) -> Generator[dict[str, Any]]:
    """Make one attempt, from the newest committed row to the stage's end; yield a report for each row."""
    folder = StageFolder(Path(trial.stage_path))
    attempt = Attempt(folder, trial.generation)
    with attempt.at_work():
        yield from _analyse(trial, folder, attempt)


def _analyse(trial: TrialConfig, folder: StageFolder, attempt: Attempt) -> Iterator[dict[str, Any]]:
    heartbeat = Heartbeat(attempt, Limits.model_validate(trial.limits))
    config = AnalysisConfig.model_validate(trial.config)
    data_root = None if trial.data_root is None else Path(trial.data_root)
    say = line_writer(trial.label, folder.trial_log(attempt.number))
    done = len(read_commits(folder))
    say(f"attempt {attempt.number} starts after row {done} of {config.epochs}")
    start_ms = now_ms()
    assert trial.previous_stage_path is not None, "a spec has a train stage before every analysis"
    checkpoint = load_last(StageFolder(Path(trial.previous_stage_path)))
    assert checkpoint is not None, "a stage starts once the one before it has ended"
    rows = analyse(checkpoint, config.analysis, done=done, data_root=data_root, on_step=heartbeat)
    _check_environment(folder, rows)
    for record in (checkpoint["environment"], *(each.environment for each in read_started(folder)[:1])):
        check_reader(record, config.train.dataset, data_root, on_step=heartbeat)
    attempt.write_started(at_ms=start_ms, resumed_epoch=done, **asdict(rows.start))
    gauges = Gauges(trial)
    for row in rows:
        commit = _commit(attempt, row, rows)
        say(_line(commit))
        gauges.set(commit)
        yield report(commit.epoch)
    with attempt.ending(*RESULTS):
        write_results(attempt.path, config.analysis, _records(folder))
        attempt.finish(state=WorkState.SUCCEEDED, at_ms=now_ms())
    say("stage complete")
    yield report(config.epochs, end=TrialEnd.SUCCEEDED)


def _check_environment(folder: StageFolder, rows: Rows) -> None:
    """Check that the environment is that of the committed rows: a table comes from one environment.

    Raises:
        EnvironmentMismatch: This environment is another one.
    """
    started = read_started(folder)
    now = rows.start.environment
    saved, here = map(environment.without_reader, (started[0].environment if started else now, now))
    lines = environment.differences(saved, here)
    if lines:
        raise EnvironmentMismatch(
            f"the committed rows were made in another environment, so continuing would not give the same bits: "
            f"{'; '.join(lines)}"
        )


def _commit(attempt: Attempt, row: Row, rows: Rows) -> Commit:
    file = attempt.row_path(row.number)
    write_atomic(
        file, json.dumps(row.records, allow_nan=False).encode(), sync_entry=False
    )  # the commit syncs the folder
    return attempt.commit(
        epoch=row.number,
        epochs=rows.total,
        at_ms=now_ms(),
        metrics=row.metrics,
        weights_sha256=rows.start.initial_sha256,
        file=file,
        step=row.step,
    )


def _records(folder: StageFolder) -> list[Record]:
    """Return the records of all committed rows, from all attempts."""
    progress = read_progress(folder)
    return [record for commit in progress.commits for record in json.loads(progress.checkpoint(commit).read_bytes())]


def _line(commit: Commit) -> str:
    shown = ", ".join(f"{key.partition('/')[2] or key} {value:.6g}" for key, value in commit.metrics.items())
    return f"row {commit.epoch}/{commit.epochs}: {shown}"
