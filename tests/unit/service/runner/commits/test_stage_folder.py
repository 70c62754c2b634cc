"""Tests of a stage's folder: no killed attempt loses an epoch or commits one twice."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.failures import Failure, FailureType
from service.runner.commits.attempt import Attempt, Superseded
from service.runner.commits.reading import read_commits, read_progress
from service.runner.commits.records import Commit
from service.runner.shipping.run_content import progress_tags
from service.sample_bits import read_sample_bits
from service.states import WorkState
from service.storage import StageFolder
from tests.root import ROOT
from tests.unit.service.runner.writing import begin


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "chain" / "0")


def commit(attempt: Attempt, epoch: int, sample_bits: Path | None = None) -> Commit:
    attempt.checkpoint_path(epoch).write_bytes(b"weights")
    metrics = {"test/accuracy": 0.5}
    return attempt.commit(
        epoch=epoch, epochs=9, at_ms=epoch, metrics=metrics, weights_sha256="00", sample_bits=sample_bits
    )


def test_attempts_of_several_threads_get_folders_of_their_own(folder: StageFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = [attempt.number for attempt in pool.map(lambda _: Attempt(folder), range(40))]
    assert sorted(numbers) == list(range(1, 41))


def test_commits_are_read_in_order(folder: StageFolder) -> None:
    attempt = Attempt(folder)
    commits = [commit(attempt, epoch) for epoch in (1, 2, 3)]
    assert read_commits(folder) == commits
    assert read_commits(folder, after=2) == commits[2:]
    progress = read_progress(folder)
    assert progress.last == commits[-1]
    assert progress.checkpoint(commits[-1]) == attempt.checkpoint_path(3)


@pytest.mark.parametrize("num", [1, 8, 355])
def test_the_bits_of_the_test_samples_are_read_as_they_were_written(folder: StageFolder, num: int) -> None:
    is_correct = np.arange(num) % 3 == 0
    attempt = Attempt(folder)
    commit(attempt, 1, attempt.write_sample_bits(1, is_correct))
    bits = read_sample_bits(folder)
    assert bits is not None
    assert bits.digest is None, "no start was recorded"
    assert bits.values.tolist() == is_correct.tolist()


def test_the_bits_are_those_of_the_data_set_that_their_attempt_has_recorded(folder: StageFolder) -> None:
    begin(folder)
    attempt = begin(folder)
    started = attempt.path / "started.json"
    record = json.loads(started.read_bytes())
    started.write_text(json.dumps(record | {"dataset": record["dataset"] | {"digest": "of the second attempt"}}))
    commit(attempt, 1, attempt.write_sample_bits(1, np.ones(3, np.bool_)))
    bits = read_sample_bits(folder)
    assert bits is not None
    assert bits.digest == "of the second attempt"


def test_a_stage_of_an_earlier_version_has_no_bits(folder: StageFolder) -> None:
    assert read_sample_bits(folder) is None
    commit(Attempt(folder), 1)
    stored = folder.commit(1)
    record = json.loads(stored.read_bytes())
    assert record.pop("sample_bits") is None
    stored.write_text(json.dumps(record))
    assert read_sample_bits(folder) is None


@pytest.mark.parametrize("change", [{"num_samples": 17}, {"num_correct": 4}, {"bits": ""}, {"bits": "AAA="}])
def test_damaged_bits_are_refused(folder: StageFolder, change: dict[str, int | str]) -> None:
    attempt = Attempt(folder)
    file = attempt.write_sample_bits(1, np.arange(9) % 2 == 0)
    commit(attempt, 1, file)
    file.write_text(json.dumps(json.loads(file.read_bytes()) | change))
    with pytest.raises(ValueError, match=r"the bits of the test samples are damaged: they must be"):
        read_sample_bits(folder)


def test_an_attempt_stops_once_a_newer_one_has_started(folder: StageFolder) -> None:
    old = Attempt(folder)
    commit(old, 1)
    new = Attempt(folder)
    with pytest.raises(Superseded, match="attempt 2 has taken over from attempt 1"):
        commit(old, 2)
    with pytest.raises(Superseded, match="has taken over"):
        old.finish(state=WorkState.SUCCEEDED, at_ms=1)
    assert commit(new, 2).attempt == 2


def test_the_first_attempt_to_link_owns_the_epoch_even_without_the_check_for_newer_ones(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if all attempts had passed their check for newer ones before any of them links: only the links decide.
    attempts = [Attempt(folder) for _ in range(8)]
    monkeypatch.setattr(Attempt, "check_newest", lambda self: None)

    def race(attempt: Attempt) -> bool:
        try:
            commit(attempt, 1)
        except Superseded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [attempt.number for attempt, first in zip(attempts, pool.map(race, attempts), strict=True) if first]
    assert [commit.attempt for commit in read_commits(folder)] == won
    assert len(won) == 1


def test_a_stage_ends_once(folder: StageFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Attempt(folder), Attempt(folder)
    monkeypatch.setattr(Attempt, "check_newest", lambda self: None)
    for epoch in range(1, 10):
        commit(first, epoch)
    first.finish(state=WorkState.SUCCEEDED, at_ms=1)
    with pytest.raises(Superseded, match=r"done\.json was committed by another attempt"):
        second.finish(state=WorkState.FAILED, at_ms=2)
    done = read_progress(folder).done
    assert done is not None
    assert (done.state, done.attempt) == ("succeeded", 1)


def test_an_attempt_owns_its_link_if_only_the_answer_was_lost(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link_then_fail(source: Path, target: Path) -> None:
        real(source, target)
        raise FileExistsError  # as NFS does when it repeats a request that has succeeded

    real = os.link
    monkeypatch.setattr(os, "link", link_then_fail)
    assert commit(Attempt(folder), 1).epoch == 1
    assert len(read_commits(folder)) == 1


def test_a_process_killed_before_its_link_does_not_change_the_journal(folder: StageFolder) -> None:
    commit(Attempt(folder), 1)
    script = f"""
import os, signal
from pathlib import Path
from service.runner.commits.attempt import Attempt
from service.storage import StageFolder
os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
attempt = Attempt(StageFolder(Path({str(folder.path)!r})))
attempt.commit(epoch=2, epochs=9, at_ms=2, metrics={{}}, weights_sha256="00")
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT)
    assert ended.returncode == -9
    assert [commit.epoch for commit in read_commits(folder)] == [1]
    assert (folder.attempt(2) / folder.commit(2).name).exists()
    third = Attempt(folder)
    assert commit(third, 2).attempt == 3


def test_checkpoints_that_are_not_kept_are_deleted(folder: StageFolder) -> None:
    first = Attempt(folder)
    commits = [commit(first, epoch) for epoch in (1, 2, 3)]
    second = Attempt(folder)
    last = commit(second, 4)
    second.prune(keep={last.checkpoint, commits[1].checkpoint})
    assert [path.name for path in sorted(folder.attempts.glob("*/epoch-*.pt"))] == [
        "epoch-000002.pt",
        "epoch-000004.pt",
    ]
    assert len(read_commits(folder)) == 4


def test_commits_after_a_gap_are_not_read_yet(folder: StageFolder) -> None:
    attempt = Attempt(folder)
    commits = [commit(attempt, epoch) for epoch in (1, 2, 3, 4)]
    hidden = folder.commit(3)
    hidden.rename(folder.path / "hidden")  # a listing made while 3 and 4 are committed may lack only 3
    assert read_commits(folder) == commits[:2]
    assert read_commits(folder, after=2) == []
    (folder.path / "hidden").rename(hidden)
    assert read_commits(folder, after=2) == commits[2:]


def test_the_marker_is_ignored_until_all_epochs_are_visible(folder: StageFolder) -> None:
    attempt = Attempt(folder)
    for epoch in range(1, 10):
        commit(attempt, epoch)
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=10)
    hidden = folder.commit(9)
    hidden.rename(folder.path / "hidden")
    assert read_progress(folder).done is None
    (folder.path / "hidden").rename(hidden)
    assert read_progress(folder).done is not None


def test_a_stage_may_fail_at_any_epoch(folder: StageFolder) -> None:
    failure = Failure.of(FailureType.NOT_FINITE, "the loss is nan", kind="FloatingPointError")
    Attempt(folder).finish(state=WorkState.FAILED, at_ms=1, failure=failure)
    done = read_progress(folder).done
    assert done is not None
    assert (done.state, done.failure) == ("failed", failure)


def test_attempts_of_several_processes_get_folders_of_their_own(folder: StageFolder) -> None:
    script = f"""
from pathlib import Path
from service.runner.commits.attempt import Attempt
from service.storage import StageFolder
print("ready", flush=True)
input()
print(*[Attempt(StageFolder(Path({str(folder.path)!r}))).number for _ in range(20)])
"""
    command, root = [sys.executable, "-c", script], ROOT
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    numbers = [int(number) for process in processes for number in process.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 41))


def test_a_stage_that_never_started_has_no_progress(folder: StageFolder) -> None:
    progress = read_progress(folder)
    assert (progress.commits, progress.done, progress.num_attempts, progress.last) == ((), None, 0, None)


def test_half_written_files_of_a_killed_attempt_are_deleted(folder: StageFolder) -> None:
    old = Attempt(folder)
    (old.path / ".epoch-000001.pt.12ab.tmp").write_bytes(b"half")
    new = Attempt(folder)
    own_file = new.path / ".epoch-000002.pt.34cd.tmp"
    own_file.write_bytes(b"being written")
    last = commit(new, 1)
    new.prune(keep={last.checkpoint})
    assert [file.name for file in old.path.iterdir()] == []
    assert own_file.exists(), "the attempt's own temporary files stay"


def test_a_file_that_a_newer_attempt_deleted_is_no_failure(folder: StageFolder) -> None:
    old = Attempt(folder)
    with pytest.raises(FileNotFoundError), old.at_work():
        raise FileNotFoundError("its own mistake")
    Attempt(folder)
    with pytest.raises(Superseded, match="has taken over"), old.at_work():
        raise FileNotFoundError("pruned")
    with pytest.raises(Superseded, match="has taken over"), old.at_work():
        raise RuntimeError("unexpected pos") from FileNotFoundError("pruned")
    with pytest.raises(ValueError, match="its own mistake"), old.at_work():
        raise ValueError("its own mistake")


@pytest.mark.parametrize(("whose", "type_"), [("cluster", "node_lost"), ("user", "error")])
def test_a_failure_that_was_stored_without_a_type_gets_one(folder: StageFolder, whose: str, type_: str) -> None:
    attempt = Attempt(folder)
    old = {"class": whose, "kind": "OSError", "message": "gone", "traceback": ""}
    done = {"state": "failed", "attempt": attempt.number, "at_ms": 1, "failure": old}
    folder.done(1).write_text(json.dumps(done))
    progress = read_progress(folder)
    assert progress.done is not None
    assert progress.done.failure is not None
    assert progress.done.failure.as_json() == old | {"type": type_}
    assert progress.done.failure.summary.as_json() == {"type": type_, "class": whose, "message": "gone"}
    assert progress_tags(progress)["tet.failure"] == f"{type_}: gone"
