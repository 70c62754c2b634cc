"""Tests of verifications, round by round."""

import json
import shlex
from dataclasses import asdict

import pytest

from service.control.replays import MAX_JOBS, MAX_PER_ROUND, REPLAY_SETTINGS, Replays
from service.runner.verify import parse_arguments
from service.states import Wanted
from service.store.tables import VerificationRow
from tests.integration.control.conftest import Desk


@pytest.fixture
def asked(desk: Desk) -> str:
    """Post an experiment and request a replay of one of its stages."""
    experiment = desk.post()
    desk.want(experiment, Wanted.PAUSE)
    with desk.database.session() as repository:
        repository.verifications.add(experiment, desk.first_chain(experiment), 0)
    return experiment


def seen(desk: Desk, experiment: str) -> VerificationRow:
    with desk.database.reading() as repository:
        return repository.verifications.get(experiment, 1)


def write_result(desk: Desk, experiment: str, **result: object) -> None:
    folder = desk.folder(experiment).verification(1)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"reason": "", **result}))


def test_each_round_updates_a_part_of_many_verifications(desk: Desk, asked: str) -> None:
    chain = desk.first_chain(asked)
    with desk.database.session() as repository:
        for stage in range(1, 2 * MAX_PER_ROUND + 1):
            repository.verifications.add(asked, chain, stage)
    replays = Replays(desk.database, desk.jobs, desk.settings)
    submitted = []
    for _ in range(3):
        replays.look_after()
        submitted.append(len(desk.ray.posts))
    assert submitted == [7, 14, 21]


def test_a_replay_is_submitted_once_and_its_result_is_stored(desk: Desk, asked: str) -> None:
    desk.rounds(3)
    job = f"tet-{asked}-v1-1"
    assert desk.ray.posts == [job]
    entrypoint = desk.ray.jobs[job]["entrypoint"]
    assert f"-m service.runner.verify --experiment {asked} --number 1" in entrypoint
    own = {"experiment": asked, "number": 1, "chain": desk.first_chain(asked), "stage": 0}
    passed = {name: getattr(desk.settings, name) for name in REPLAY_SETTINGS}
    assert asdict(parse_arguments(shlex.split(entrypoint)[3:])) == own | passed
    desk.ray.jobs[job]["status"] = "RUNNING"
    desk.rounds()
    assert seen(desk, asked).state == "running"
    write_result(desk, asked, state="different", reason="it differs", num_compared=2)
    desk.ray.end(job, "SUCCEEDED")
    desk.rounds()
    row = seen(desk, asked)
    assert (row.state, row.reason, row.result) == ("different", "it differs", {"num_compared": 2})
    assert row.finished_at is not None
    desk.rounds(3)
    assert desk.ray.posts == [job]


def test_lost_jobs_are_replaced_up_to_a_limit(desk: Desk, asked: str) -> None:
    for number in range(1, MAX_JOBS + 1):
        desk.rounds(2)
        desk.ray.end(f"tet-{asked}-v1-{number}", message="a node died")
    desk.rounds()
    assert desk.ray.posts == [f"tet-{asked}-v1-{number}" for number in range(1, MAX_JOBS + 1)]
    assert seen(desk, asked).state == "failed"
    assert seen(desk, asked).reason == "3 jobs have ended without a result; the last one: FAILED: a node died"


def test_a_ray_that_does_not_answer_is_reported_and_tried_again(desk: Desk, asked: str) -> None:
    desk.ray.broken = True
    desk.rounds()
    assert seen(desk, asked).reason == "Ray does not answer: HTTP 503: the head is busy"
    desk.ray.broken = False
    desk.rounds()
    assert (seen(desk, asked).state, seen(desk, asked).reason) == ("queued", "")
    assert desk.ray.posts == [f"tet-{asked}-v1-1"]
