"""Tests of the reconciler, also with a Ray that does not answer, and drivers and reconcilers that die."""

import json
from contextlib import suppress
from typing import Any

import pytest

from service.control import acts, reconciler
from service.control.acts import Acts
from service.control.decide import TABLE, decide
from service.control.jobs import JobStatus, Observation, RayJob, RayJobs
from service.events import ChainChanged, Outcome, StageChanged
from service.reasons import NO_REASON, Reason, ReasonKind, asked_to_stop, cancelled
from service.states import ACTIVE, RESTING, ExperimentState, Wanted, WorkState
from service.store.event_log import EventLog, EventOffsets
from service.store.transitions import Transitions
from tests.integration.control.conftest import Desk


def test_every_case_that_can_occur_has_an_action() -> None:
    for wanted in Wanted:
        for state in ACTIVE:
            seen = [JobStatus.ABSENT] if state in RESTING else list(JobStatus)
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


def test_a_restart_of_ray_makes_the_links_to_its_jobs_stale(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "SESSION_KNOWN_FOR_S", 0.0)
    monkeypatch.setattr(acts, "MAX_BACKOFF_S", 0.0)

    def restart(session: str) -> None:
        desk.ray.replies["/api/version"] = (200, {"session_name": session})

    restart("first")
    experiment = desk.post()
    desk.rounds(2)
    desk.ray.jobs[f"tet-{experiment}-1"]["status"] = "RUNNING"
    desk.rounds()
    assert (desk.row(experiment).ray_session, desk.row(experiment).is_job_forgotten) == ("first", False)
    desk.ray.jobs.clear()
    restart("second")
    desk.rounds()
    assert desk.row(experiment).is_job_forgotten
    desk.rounds(4)
    row = desk.row(experiment)
    assert (row.driver_attempt, row.ray_session, row.is_job_forgotten) == (2, "second", False)


def test_a_lost_answer_of_ray_leads_to_one_job(desk: Desk) -> None:
    experiment = desk.post()
    desk.ray.loses_answers = True
    desk.rounds(3)
    desk.ray.loses_answers = False
    desk.rounds(3)
    assert list(desk.ray.jobs) == [f"tet-{experiment}-1"]
    assert desk.row(experiment).driver_attempt == 1


def test_a_job_that_ray_already_has_is_no_error(desk: Desk) -> None:
    experiment = desk.post()
    desk.rounds(2)
    problem = desk.jobs.submit(RayJob(f"tet-{experiment}-1", ("true",), {}, {}))
    assert "already exists" in (problem or "")
    desk.ray.jobs[f"tet-{experiment}-1"]["status"] = "RUNNING"
    desk.rounds()
    assert desk.row(experiment).state == "running"


def test_while_ray_does_not_answer_only_the_reason_changes(desk: Desk) -> None:
    experiment = desk.post()
    desk.run(experiment)
    desk.ray.broken = True
    desk.rounds(3)
    row = desk.row(experiment)
    assert (row.state, row.driver_attempt) == ("running", 1)
    assert row.current_reason() == Reason(ReasonKind.RAY_SILENT, "Ray does not answer: HTTP 503: the head is busy")
    desk.ray.broken = False
    desk.rounds()
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("running", "")


@pytest.mark.parametrize("kind", ReasonKind)
def test_whether_a_reason_stays_depends_on_its_kind_and_not_on_its_words(desk: Desk, kind: ReasonKind) -> None:
    experiment = desk.post()
    desk.run(experiment)
    for words in ("Ray does not answer: HTTP 503", "3 points wait for MLflow: refused"):
        with desk.database.session() as repository:
            repository.experiments.get(experiment).set_reason(Reason(kind, words))
        desk.rounds()
        stays = kind in (ReasonKind.NONE, ReasonKind.WAITS_FOR_MLFLOW)
        assert desk.row(experiment).current_reason() == (Reason(kind, words) if stays else NO_REASON)


@pytest.mark.parametrize("gone", ["ended", "forgotten"])
def test_a_driver_that_is_gone_without_an_outcome_is_followed_by_the_next(desk: Desk, gone: str) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    if gone == "ended":
        desk.ray.end(job)
    else:
        del desk.ray.jobs[job]  # Ray's head was restarted, and it keeps its records only in memory
    desk.rounds()
    assert desk.row(experiment).reason_kind is ReasonKind.DRIVER_LOST
    assert "driver 1 is gone" in desk.row(experiment).reason
    desk.hurry(experiment)
    desk.rounds(2)
    assert desk.ray.posts == [f"tet-{experiment}-1", f"tet-{experiment}-2"]
    if gone == "ended":
        assert (desk.folder(experiment).drivers / "0001.job.log").read_text() == f"what {job} printed"


def test_an_experiment_whose_drivers_die_without_progress_fails_after_a_limit(desk: Desk) -> None:
    experiment = desk.post()
    waits = []
    for _ in range(desk.settings.max_driver_deaths):
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
    assert waits == list(range(1, desk.settings.max_driver_deaths + 1))
    assert row.state == "failed"
    assert "drivers in a row have died without committing an epoch" in row.reason
    assert row.failure == {"type": "engine_lost", "class": "cluster", "message": row.reason}


def test_a_committed_epoch_resets_the_count_of_idle_deaths(desk: Desk) -> None:
    experiment = desk.post()
    for _ in range(2):
        desk.ray.end(desk.run(experiment))
        desk.rounds()
        desk.hurry(experiment)
        desk.rounds()
    job = desk.run(experiment)
    chain = desk.first_chain(experiment)
    desk.say(experiment, StageChanged(chain=chain, stage=0, state=WorkState.RUNNING, epoch=1), attempt=3)
    desk.ray.end(job)
    desk.rounds()
    assert desk.row(experiment).idle_deaths == 0


def test_the_drivers_outcome_ends_the_experiment_even_if_ray_says_it_failed(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED))
    desk.ray.end(job)
    desk.rounds(2)
    assert desk.row(experiment).state == "succeeded"
    assert desk.ray.posts == [job]


def test_a_failed_experiment_is_a_failed_job_and_no_lost_driver(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    # The driver exits with 1 after it has written the outcome. Ray shows the exit status first.
    desk.ray.end(job, "FAILED")
    desk.say(experiment, Outcome(state=ExperimentState.FAILED, reason="1 of 4 chains failed"))
    desk.rounds(3)
    row = desk.row(experiment)
    assert (row.state, row.reason, row.idle_deaths) == ("failed", "1 of 4 chains failed", 0)
    assert desk.ray.posts == [job]


def test_no_more_experiments_run_at_once_than_the_settings_allow(desk: Desk) -> None:
    first, second = desk.post(), desk.post()
    job = desk.run(first)
    desk.rounds(3)
    assert desk.row(second).state == "queued"
    desk.say(first, Outcome(state=ExperimentState.SUCCEEDED))
    desk.ray.end(job, "SUCCEEDED")
    desk.rounds(3)
    assert desk.row(second).state == "starting"
    assert len(desk.ray.posts) == 2


def test_a_queued_experiment_is_cancelled_at_once(desk: Desk) -> None:
    experiment = desk.post()
    desk.cancel(experiment)
    desk.rounds()
    assert desk.row(experiment).state == "cancelled"
    assert desk.ray.posts == []


def test_a_running_experiment_is_stopped_and_then_cancelled(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    desk.cancel(experiment)
    desk.rounds()
    assert (desk.row(experiment).state, desk.ray.stops) == ("running", [job])
    assert desk.folder(experiment).cancelled(1).exists()  # by this its driver knows that it is the end
    assert desk.row(experiment).current_reason() == asked_to_stop()
    desk.ray.end(job, "STOPPED")
    desk.rounds()
    assert (desk.row(experiment).state, desk.row(experiment).current_reason()) == ("cancelled", cancelled())
    assert desk.work_states(experiment) == {"cancelled"}


def test_an_experiment_is_not_cancelled_while_ray_does_not_answer(desk: Desk) -> None:
    experiment = desk.post()
    desk.run(experiment)
    desk.cancel(experiment)
    desk.ray.broken = True
    desk.rounds(3)
    assert desk.row(experiment).state == "running"


def test_a_driver_that_succeeded_before_its_cancellation_was_seen_has_succeeded(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED))
    desk.cancel(experiment)
    desk.ray.end(job, "SUCCEEDED")
    desk.rounds()
    assert desk.row(experiment).state == "succeeded"


def test_a_driver_that_was_stopped_without_a_request_is_followed_by_the_next(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    chain = desk.first_chain(experiment)
    desk.say(
        experiment,
        StageChanged(chain=chain, stage=0, state=WorkState.CANCELLED),
        ChainChanged(chain=chain, state=WorkState.CANCELLED),
        Outcome(state=ExperimentState.CANCELLED, reason="cancelled while it ran"),
    )
    desk.ray.end(job, "STOPPED")
    desk.rounds()
    assert desk.row(experiment).state == "running"
    assert desk.work_states(experiment) == {"waiting"}
    desk.hurry(experiment)
    desk.rounds(2)
    assert desk.ray.posts == [job, f"tet-{experiment}-2"]


def test_a_submission_still_on_its_way_cannot_run_once_the_experiment_is_cancelled(desk: Desk) -> None:
    experiment = desk.post()
    desk.rounds()
    desk.cancel(experiment)
    desk.rounds()
    assert desk.row(experiment).state == "cancelled"
    with pytest.raises(FileExistsError):  # a driver's first step
        desk.folder(experiment).driver(1).mkdir(parents=True)


def test_a_job_that_ray_lists_again_is_not_replaced(desk: Desk) -> None:
    experiment = desk.post()
    name = desk.run(experiment)
    job = desk.ray.jobs.pop(name)
    desk.rounds()
    assert desk.row(experiment).retry_at is not None
    desk.ray.jobs[name] = job
    desk.rounds()
    row = desk.row(experiment)
    assert (row.retry_at, row.reason, row.driver_attempt) == (None, "", 1)


def test_one_experiment_whose_folder_cannot_be_read_does_not_stop_the_others(desk: Desk) -> None:
    first = desk.post()
    desk.run(first)
    desk.settings = desk.settings.model_copy(update={"max_running": 2})
    desk.folder(first).events(1).mkdir(parents=True)
    second = desk.post()
    desk.rounds()
    assert (desk.row(first).state, desk.row(second).state) == ("running", "starting")
    assert desk.row(first).reason.startswith("the service cannot continue the experiment: IsADirectoryError: ")
    desk.folder(first).events(1).rmdir()
    desk.rounds()
    assert desk.row(first).reason == ""


def test_a_late_reconciler_changes_nothing_after_newer_rounds(desk: Desk) -> None:
    experiment = desk.post()
    desk.ray.end(desk.run(experiment))
    slept = Acts(desk.database, desk.jobs, desk.settings)
    stale = desk.row(experiment)
    desk.rounds()
    desk.hurry(experiment)
    desk.rounds()
    desk.run(experiment)
    seen = Observation(JobStatus.ENDED, "FAILED: it died")
    slept.revive(stale, ExperimentState.RUNNING, f"tet-{experiment}-1", seen)
    slept.start(stale, ExperimentState.RUNNING, NO_REASON)
    row = desk.row(experiment)
    assert (row.state, row.driver_attempt, row.idle_deaths, row.reason) == ("running", 2, 1, "")


def test_an_unwritable_folder_is_reported_and_tried_again(desk: Desk) -> None:
    experiment = desk.post()
    folder = desk.folder(experiment).path
    folder.parent.mkdir(parents=True)
    folder.write_bytes(b"")  # a file is in the way
    desk.rounds(2)
    assert desk.row(experiment).state == "queued"
    assert desk.row(experiment).reason.startswith("the service cannot continue the experiment: NotADirectoryError: ")
    folder.unlink()
    desk.rounds()
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("starting", "")


class Killed(BaseException):
    """An exception that ends a reconciler as SIGKILL would: no code handles it."""


# The class or module of an act, the act's name, and the number of the call at which the reconciler is killed.
ACTS = [
    (acts, "write_atomic", 1),
    (acts, "write_atomic", 2),
    (RayJobs, "submit", 1),
    (RayJobs, "submit", 2),
    (RayJobs, "observe", 1),
    (RayJobs, "logs", 1),
    (Transitions, "advance", 1),
    (Transitions, "advance", 2),
    (Transitions, "advance", 3),
    (EventOffsets, "move", 1),
    (EventLog, "add", 1),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("owner", "act", "nth"), ACTS, ids=[f"{act}-{nth}" for _, act, nth in ACTS])
def test_after_a_reconciler_is_killed_at_any_act_the_next_one_continues(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, owner: Any, act: str, moment: str, nth: int
) -> None:
    experiment = desk.post()
    calls, real = 0, getattr(owner, act)

    def killing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and moment == "before":
            raise Killed
        result = real(*arguments, **named)
        if calls == nth:
            raise Killed
        return result

    monkeypatch.setattr(owner, act, killing)

    def rounds(until: tuple[str, int]) -> None:
        for _ in range(8):
            with suppress(Killed):
                desk.rounds()
            row = desk.row(experiment)
            if (row.state, row.driver_attempt) == until:
                return
            for job in desk.ray.jobs.values():
                job["status"] = "RUNNING" if job["status"] == "PENDING" else job["status"]
            if row.retry_at is not None:
                desk.hurry(experiment)
        pytest.fail(f"not {until}: {row.state}, driver {row.driver_attempt}")

    rounds(("running", 1))
    desk.ray.end(f"tet-{experiment}-1")
    rounds(("running", 2))
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED), attempt=2)
    desk.ray.end(f"tet-{experiment}-2", "SUCCEEDED")
    rounds(("succeeded", 2))
    assert calls >= nth
    assert list(desk.ray.jobs) == [f"tet-{experiment}-1", f"tet-{experiment}-2"]
    with desk.database.reading() as repository:
        events = repository.events.list_after(experiment)
    states = [event.data["state"] for event in events if event.type == "experiment"]
    assert (states[0], states[-1], states.count("succeeded")) == ("queued", "succeeded", 1)
