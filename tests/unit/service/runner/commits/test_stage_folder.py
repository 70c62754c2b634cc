"""How attempts at one stage write, so that no kill can lose or double an epoch."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.failures import Failure, FailureType
from service.runner.commits.attempt import Attempt, Superseded
from service.runner.commits.reading import read_commits, read_progress
from service.runner.commits.records import Commit, commit_name
from service.runner.shipping.run_content import progress_tags
from service.states import WorkState
from service.storage import StageFolder
from tests.root import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "chain" / "0")


def commit(attempt: Attempt, epoch: int) -> Commit:
    attempt.checkpoint_path(epoch).write_bytes(b"weights")
    return attempt.commit(epoch=epoch, epochs=9, at_ms=epoch, metrics={"test/accuracy": 0.5}, weights_sha256="00")


def test_attempts_at_one_time_get_folders_of_their_own(folder: StageFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = [attempt.number for attempt in pool.map(lambda _: Attempt(folder), range(40))]
    assert sorted(numbers) == list(range(1, 41))


def test_what_is_committed_is_read_back_in_order(folder: StageFolder) -> None:
    attempt = Attempt(folder)
    made = [commit(attempt, epoch) for epoch in (1, 2, 3)]
    assert read_commits(folder) == made
    assert read_commits(folder, after=2) == made[2:]
    progress = read_progress(folder)
    assert progress.last == made[-1]
    assert progress.checkpoint(made[-1]) == attempt.checkpoint_path(3)


def test_an_attempt_stops_once_a_newer_one_has_begun(folder: StageFolder) -> None:
    old = Attempt(folder)
    commit(old, 1)
    new = Attempt(folder)
    with pytest.raises(Superseded, match="attempt 2 has taken over from attempt 1"):
        commit(old, 2)
    with pytest.raises(Superseded, match="has taken over"):
        old.finish(state=WorkState.SUCCEEDED, at_ms=1)
    assert commit(new, 2).attempt == 2


def test_the_first_to_link_owns_the_epoch_even_past_the_fence(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both attempts have passed their look for newer ones before either links: what the links alone decide.
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
    assert [found.attempt for found in read_commits(folder)] == won
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


def test_a_link_whose_answer_was_lost_is_our_own(folder: StageFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def link_then_fail(source: Path, target: Path) -> None:
        real(source, target)
        raise FileExistsError  # as NFS does when it repeats a request that had been done

    real = os.link
    monkeypatch.setattr(os, "link", link_then_fail)
    assert commit(Attempt(folder), 1).epoch == 1
    assert len(read_commits(folder)) == 1


def test_a_process_killed_before_its_link_leaves_the_journal_as_it_was(folder: StageFolder) -> None:
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
    assert [found.epoch for found in read_commits(folder)] == [1]
    assert (folder.attempt(2) / commit_name(2)).exists()
    third = Attempt(folder)
    assert commit(third, 2).attempt == 3


def test_old_checkpoints_go_and_those_to_keep_stay(folder: StageFolder) -> None:
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


def test_an_epoch_behind_one_that_is_not_seen_yet_is_left_for_later(folder: StageFolder) -> None:
    attempt = Attempt(folder)
    made = [commit(attempt, epoch) for epoch in (1, 2, 3, 4)]
    hidden = folder.commits / commit_name(3)
    hidden.rename(folder.path / "hidden")  # a listing made while 3 and 4 were committed may lack 3 alone
    assert read_commits(folder) == made[:2]
    assert read_commits(folder, after=2) == []
    (folder.path / "hidden").rename(hidden)
    assert read_commits(folder, after=2) == made[2:]


def test_the_marker_is_not_seen_without_every_epoch_before_it(folder: StageFolder) -> None:
    attempt = Attempt(folder)
    for epoch in range(1, 10):
        commit(attempt, epoch)
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=10)
    hidden = folder.commits / commit_name(9)
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


def test_a_stage_that_never_began_has_no_progress(folder: StageFolder) -> None:
    progress = read_progress(folder)
    assert (progress.commits, progress.done, progress.num_attempts, progress.last) == ((), None, 0, None)


def test_what_a_killed_attempt_left_half_written_goes(folder: StageFolder) -> None:
    old = Attempt(folder)
    (old.path / ".epoch-000001.pt.12ab.tmp").write_bytes(b"half")
    new = Attempt(folder)
    own = new.path / ".epoch-000002.pt.34cd.tmp"
    own.write_bytes(b"being written")
    kept = commit(new, 1)
    new.prune(keep={kept.checkpoint})
    assert [file.name for file in old.path.iterdir()] == []
    assert own.exists(), "its own are cleared away by who writes them"


def test_a_file_that_a_newer_attempt_took_away_is_no_failure(folder: StageFolder) -> None:
    old = Attempt(folder)
    with pytest.raises(FileNotFoundError), old.at_work():
        raise FileNotFoundError("of its own doing")
    Attempt(folder)
    with pytest.raises(Superseded, match="has taken over"), old.at_work():
        raise FileNotFoundError("pruned")
    with pytest.raises(Superseded, match="has taken over"), old.at_work():
        raise RuntimeError("unexpected pos") from FileNotFoundError("pruned")
    with pytest.raises(ValueError, match="of its own"), old.at_work():
        raise ValueError("of its own")


@pytest.mark.parametrize(("whose", "type_"), [("cluster", "node_lost"), ("user", "error")])
def test_a_failure_from_before_there_were_types_gets_one(folder: StageFolder, whose: str, type_: str) -> None:
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
