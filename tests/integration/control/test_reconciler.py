"""What is wanted becomes true, whatever Ray answers and whoever dies."""

import json

import pytest

from service.control.decide import TABLE, decide
from service.control.jobs import Job, JobStatus
from service.control.reconciler import MAX_IDLE_DEATHS
from service.events import Outcome, StageChanged
from service.states import ACTIVE, ExperimentState, WorkState
from tests.integration.control.conftest import Desk


def test_every_pair_that_can_occur_has_its_action() -> None:
    for wanted in ("run", "cancel"):
        for state in ACTIVE:
            seen = [JobStatus.ABSENT] if state is ExperimentState.QUEUED else list(JobStatus)
            assert all(decide(wanted, state, status) for status in seen)
    assert all(state in ACTIVE for _, state, _ in TABLE)


def test_the_intent_is_stored_before_the_job_is_submitted(desk: Desk) -> None:
    experiment = desk.post()
    desk.rounds()
    assert (desk.row(experiment).state, desk.row(experiment).driver_attempt) == ("starting", 1)
    assert desk.ray.posts == []
    assert json.loads(desk.folder(experiment).spec.read_bytes())["name"] == "digits: SDT, TET, TIT"
    desk.rounds()
    assert desk.ray.posts == [f"tet-{experiment}-1"]
    job = desk.ray.jobs[f"tet-{experiment}-1"]
    assert job["metadata"]["experiment"] == experiment
    assert f"--experiment {experiment} --attempt 1" in job["entrypoint"]


def test_an_answer_that_was_lost_leads_to_one_job(desk: Desk) -> None:
    experiment = desk.post()
    desk.ray.loses_answers = True
    desk.rounds(3)
    desk.ray.loses_answers = False
    desk.rounds(3)
    assert list(desk.ray.jobs) == [f"tet-{experiment}-1"]
    assert desk.row(experiment).driver_attempt == 1


def test_a_job_that_is_there_already_is_no_error(desk: Desk) -> None:
    experiment = desk.post()
    desk.rounds(2)
    problem = desk.jobs.submit(Job(f"tet-{experiment}-1", ("true",), {}, {}))
    assert "already exists" in (problem or "")
    desk.ray.jobs[f"tet-{experiment}-1"]["status"] = "RUNNING"
    desk.rounds()
    assert desk.row(experiment).state == "running"


def test_a_ray_that_does_not_answer_changes_nothing_but_the_reason(desk: Desk) -> None:
    experiment = desk.post()
    desk.run(experiment)
    desk.ray.broken = True
    desk.rounds(3)
    row = desk.row(experiment)
    assert (row.state, row.driver_attempt) == ("running", 1)
    assert row.reason == "Ray does not answer: HTTP 503: the head is busy"
    desk.ray.broken = False
    desk.rounds()
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("running", "")


@pytest.mark.parametrize("gone", ["ended", "forgotten"])
def test_a_driver_that_is_gone_without_an_outcome_is_followed_by_the_next(desk: Desk, gone: str) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    if gone == "ended":
        desk.ray.end(job)
    else:
        del desk.ray.jobs[job]  # the head was restarted, and keeps its records in memory
    desk.rounds()
    assert "driver 1 is gone" in desk.row(experiment).reason
    desk.hurry(experiment)
    desk.rounds(2)
    assert desk.ray.posts == [f"tet-{experiment}-1", f"tet-{experiment}-2"]
    if gone == "ended":
        assert (desk.folder(experiment).drivers / "0001.job.log").read_text() == f"what {job} printed"


def test_drivers_that_get_nowhere_are_given_up_after_longer_and_longer_waits(desk: Desk) -> None:
    experiment = desk.post()
    waits = []
    for _ in range(MAX_IDLE_DEATHS):
        desk.ray.end(desk.run(experiment))
        desk.rounds()
        row = desk.row(experiment)
        assert row.retry_at is not None
        waits.append(row.idle_deaths)
        desk.hurry(experiment)
        desk.rounds()
    desk.ray.end(desk.run(experiment))
    desk.rounds()
    row = desk.row(experiment)
    assert waits == list(range(1, MAX_IDLE_DEATHS + 1))
    assert row.state == "failed"
    assert "drivers in a row have died without committing an epoch" in row.reason


def write_event(desk: Desk, experiment: str, attempt: int, *events: StageChanged | Outcome) -> None:
    folder = desk.folder(experiment)
    folder.driver(attempt).mkdir(parents=True, exist_ok=True)
    with folder.events(attempt).open("a") as file:
        file.writelines(event.model_dump_json() + "\n" for event in events)


def first_chain(desk: Desk, experiment: str) -> str:
    with desk.database.reading() as repository:
        return repository.chains(experiment)[0].id


def test_a_committed_epoch_makes_the_count_of_idle_deaths_start_anew(desk: Desk) -> None:
    experiment = desk.post()
    for _ in range(2):
        desk.ray.end(desk.run(experiment))
        desk.rounds()
        desk.hurry(experiment)
        desk.rounds()
    job = desk.run(experiment)
    chain = first_chain(desk, experiment)
    write_event(desk, experiment, 3, StageChanged(chain=chain, stage=0, state=WorkState.RUNNING, epoch=1))
    desk.ray.end(job)
    desk.rounds()
    assert desk.row(experiment).idle_deaths == 1


def test_the_drivers_outcome_ends_the_experiment_even_if_ray_says_it_failed(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    write_event(desk, experiment, 1, Outcome(state="succeeded"))
    desk.ray.end(job)
    desk.rounds(2)
    assert desk.row(experiment).state == "succeeded"
    assert desk.ray.posts == [job]


def test_only_as_many_run_at_once_as_the_settings_say(desk: Desk) -> None:
    first, second = desk.post(), desk.post()
    job = desk.run(first)
    desk.rounds(3)
    assert desk.row(second).state == "queued"
    write_event(desk, first, 1, Outcome(state="succeeded"))
    desk.ray.end(job, "SUCCEEDED")
    desk.rounds(3)
    assert desk.row(second).state == "starting"
    assert len(desk.ray.posts) == 2


def cancel(desk: Desk, experiment: str) -> None:
    with desk.database.session() as repository:
        repository.request_cancel(experiment)


def test_what_is_queued_is_cancelled_at_once(desk: Desk) -> None:
    experiment = desk.post()
    cancel(desk, experiment)
    desk.rounds()
    assert desk.row(experiment).state == "cancelled"
    assert desk.ray.posts == []


def test_what_runs_is_stopped_and_then_cancelled(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    cancel(desk, experiment)
    desk.rounds()
    assert (desk.row(experiment).state, desk.ray.stops) == ("running", [job])
    desk.ray.end(job, "STOPPED")
    desk.rounds()
    assert desk.row(experiment).state == "cancelled"
    with desk.database.reading() as repository:
        states = {stage.state for chain in repository.chains(experiment) for stage in chain.stages}
    assert states == {"cancelled"}


def test_what_cannot_be_seen_is_not_cancelled_yet(desk: Desk) -> None:
    experiment = desk.post()
    desk.run(experiment)
    cancel(desk, experiment)
    desk.ray.broken = True
    desk.rounds(3)
    assert desk.row(experiment).state == "running"


def test_a_driver_that_succeeded_before_its_cancellation_was_seen_has_succeeded(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    write_event(desk, experiment, 1, Outcome(state="succeeded"))
    cancel(desk, experiment)
    desk.ray.end(job, "SUCCEEDED")
    desk.rounds()
    assert desk.row(experiment).state == "succeeded"
