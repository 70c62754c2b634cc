"""Tests of a trial's heartbeat and of the time limit of its stage."""

from pathlib import Path

import pytest

from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import spent_s
from service.runner.commits.records import AttemptStart, Commit
from service.runner.diagnosis import StageFailed
from service.runner.trial.heartbeat import HEARTBEAT, Heartbeat, last_sign
from service.spec.blocks import Limits
from service.storage import StageFolder


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(StageFolder(tmp_path / "0"))


def started(attempt: int, at_ms: int, generation: int = 1) -> AttemptStart:
    return AttemptStart(
        attempt=attempt,
        at_ms=at_ms,
        host="h",
        resumed_epoch=0,
        initial_sha256="",
        environment={},
        dataset={},
        num_parameters=1,
        generation=generation,
    )


def commit(epoch: int, attempt: int, at_ms: int) -> Commit:
    return Commit(epoch=epoch, epochs=9, attempt=attempt, at_ms=at_ms, metrics={}, checkpoint="", weights_sha256="")


def test_the_heartbeat_beats_at_the_start_and_then_once_an_interval(attempt: Attempt) -> None:
    clock = Clock()
    heartbeat = Heartbeat(attempt, Limits(stall_s=10), clock)
    (attempt.path / HEARTBEAT).unlink()
    heartbeat()
    assert last_sign(attempt.path) == 0
    clock.now += 0.5
    heartbeat()
    assert last_sign(attempt.path) > 0


def test_a_storage_that_fails_does_not_make_a_step_fail(attempt: Attempt) -> None:
    clock = Clock()
    heartbeat = Heartbeat(attempt, Limits(), clock)
    (attempt.path / HEARTBEAT).unlink()
    attempt.path.rmdir()
    clock.now += 2
    heartbeat()


def test_a_stage_that_runs_for_too_long_ends_at_its_next_step(attempt: Attempt) -> None:
    clock = Clock()
    heartbeat = Heartbeat(attempt, Limits(max_time_s=60), clock)
    clock.now += 60
    heartbeat()
    clock.now += 0.25
    with pytest.raises(StageFailed, match=r"^the stage ran for 60\.2 s; limits\.max_time_s is 60$"):
        heartbeat()


def test_the_time_of_earlier_attempts_counts_up_to_their_last_commits() -> None:
    starts = [started(1, 1_000), started(2, 10_000), started(3, 50_000), started(4, 90_000, generation=2)]
    commits = [commit(1, 1, 3_000), commit(2, 1, 6_000), commit(3, 2, 12_500), commit(4, 4, 95_000)]
    assert spent_s(starts, commits, generation=1) == 5.0 + 2.5
    assert spent_s(starts, commits, generation=2) == 5.0
    assert spent_s(starts, commits) == 5.0 + 2.5 + 5.0
    assert spent_s([started(1, 9_000)], [commit(1, 1, 4_000)], generation=1) == 0, "a clock that was set back"
