"""Tests of pausing and resuming, round by round."""

import json

import pytest

from service.control.acts import Acts
from service.events import ChainChanged, Outcome, StageChanged
from service.reasons import NO_REASON
from service.spec.blocks import Resources
from service.states import ExperimentState, Wanted, WorkState
from service.store.requests import NewResources
from tests.integration.control.conftest import Desk


def test_a_queued_experiment_is_paused_at_once_and_can_be_queued_again(desk: Desk) -> None:
    experiment = desk.post()
    desk.want(experiment, Wanted.PAUSE)
    desk.rounds(3)
    assert (desk.row(experiment).state, desk.ray.posts) == ("paused", [])
    desk.want(experiment, Wanted.RUN)
    desk.rounds()
    desk.run(experiment)
    assert desk.ray.posts == [f"tet-{experiment}-1"]


def paused(desk: Desk) -> str:
    """Post an experiment, run it with a running stage, and pause it."""
    experiment = desk.post()
    job = desk.run(experiment)
    chain = desk.first_chain(experiment)
    running = {"chain": chain, "state": WorkState.RUNNING}
    desk.say(experiment, StageChanged(stage=0, epoch=2, **running), ChainChanged(**running))
    desk.want(experiment, Wanted.PAUSE)
    desk.rounds()
    assert (desk.row(experiment).state, desk.ray.stops) == ("pausing", [job])
    assert not desk.folder(experiment).cancelled(1).exists()
    # Every driver that is stopped writes these events.
    ended = {"chain": chain, "state": WorkState.CANCELLED}
    desk.say(
        experiment,
        StageChanged(stage=0, epoch=3, **ended),
        ChainChanged(**ended),
        Outcome(state=ExperimentState.CANCELLED),
    )
    desk.ray.end(job, "STOPPED")
    desk.rounds()
    assert desk.row(experiment).state == "paused"
    return experiment


def test_a_running_experiment_is_stopped_and_then_paused_with_its_chains_waiting(desk: Desk) -> None:
    experiment = paused(desk)
    assert desk.work_states(experiment) == {"waiting"}
    desk.rounds(3)
    assert (desk.row(experiment).state, desk.row(experiment).driver_attempt) == ("paused", 1)


def test_late_progress_of_a_paused_experiment_does_not_set_its_chains_to_running(desk: Desk) -> None:
    """Ray has lost the job, but its process continued, and its events come late."""
    experiment = paused(desk)
    running = {"chain": desk.first_chain(experiment), "state": WorkState.RUNNING}
    desk.say(experiment, StageChanged(stage=0, epoch=4, **running), ChainChanged(**running))
    desk.rounds()
    assert desk.work_states(experiment) == {"waiting"}
    with desk.database.reading() as repository:
        assert repository.work.chains(experiment)[0].stages[0].epoch == 4, "the late epoch is committed, so it counts"
        events = repository.events.list_after(experiment)
    states = [event.data["state"] for event in events if event.type in ("stage", "chain")]
    assert states[-2:] == ["waiting", "waiting"]


def test_a_paused_experiment_lets_another_run_and_continues_when_resumed(desk: Desk) -> None:
    experiment, other = paused(desk), desk.post()
    job = desk.run(other)
    desk.want(experiment, Wanted.RUN)
    desk.rounds(3)
    assert desk.row(experiment).state == "queued"
    desk.say(other, Outcome(state=ExperimentState.SUCCEEDED))
    desk.ray.end(job, "SUCCEEDED")
    desk.rounds(3)
    assert (desk.row(experiment).state, desk.row(experiment).driver_attempt) == ("starting", 2)


def test_a_stretch_begins_with_each_start_resumption_and_retry(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    chain = desk.first_chain(experiment)
    first = desk.row(experiment)
    assert (first.stretch_started_at, first.work_at_stretch) == (first.started_at, 0)
    desk.say(experiment, StageChanged(chain=chain, stage=0, state=WorkState.RUNNING, epoch=2))
    desk.ray.end(job)
    desk.rounds()
    desk.hurry(experiment)
    desk.rounds()
    job = desk.run(experiment)
    revived = desk.row(experiment)
    assert revived.driver_attempt == 2
    assert (revived.stretch_started_at, revived.work_at_stretch) == (first.stretch_started_at, 0), "the same stretch"

    desk.want(experiment, Wanted.PAUSE)
    desk.rounds()
    desk.ray.end(job, "STOPPED")
    desk.rounds()
    desk.want(experiment, Wanted.RUN)
    desk.rounds()
    job = desk.run(experiment)
    resumed = desk.row(experiment)
    assert resumed.started_at == first.started_at
    assert resumed.stretch_started_at is not None
    assert resumed.stretch_started_at > resumed.queued_at
    assert resumed.work_at_stretch == 8, "two epochs at T = 4"

    failed = StageChanged(chain=chain, stage=0, state=WorkState.FAILED, epoch=3)
    desk.say(experiment, failed, Outcome(state=ExperimentState.FAILED), attempt=3)
    desk.ray.end(job)
    desk.rounds()
    with desk.database.session() as repository:
        repository.requests.retry(experiment)
    desk.run(experiment)
    retried = desk.row(experiment)
    assert (retried.generation, retried.work_at_stretch) == (2, 12)
    assert retried.stretch_started_at is not None
    assert retried.stretch_started_at > retried.queued_at


def test_an_experiment_that_is_resumed_during_its_pause_stops_first(desk: Desk) -> None:
    experiment = desk.post()
    job = desk.run(experiment)
    desk.want(experiment, Wanted.PAUSE)
    desk.rounds()
    desk.want(experiment, Wanted.RUN)
    desk.rounds(2)
    assert desk.row(experiment).state == "pausing"
    desk.ray.end(job, "STOPPED")
    desk.rounds(3)
    assert (desk.row(experiment).state, desk.row(experiment).driver_attempt) == ("starting", 2)


@pytest.mark.parametrize("state", ["pausing", "paused"])
def test_a_paused_experiment_can_be_cancelled(desk: Desk, state: str) -> None:
    if state == "paused":
        experiment = paused(desk)
    else:
        experiment = desk.post()
        job = desk.run(experiment)
        desk.want(experiment, Wanted.PAUSE)
        desk.rounds()
        desk.ray.end(job, "STOPPED")
    desk.cancel(experiment)
    desk.rounds()
    assert desk.row(experiment).state == "cancelled"
    assert desk.work_states(experiment) == {"cancelled"}


def test_a_success_that_is_read_after_the_pause_counts(desk: Desk) -> None:
    experiment = paused(desk)
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED))
    desk.rounds()
    assert desk.row(experiment).state == "succeeded"


def test_an_experiment_is_not_paused_while_ray_does_not_answer(desk: Desk) -> None:
    experiment = desk.post()
    desk.run(experiment)
    desk.want(experiment, Wanted.PAUSE)
    desk.ray.broken = True
    desk.rounds(3)
    assert desk.row(experiment).state == "running"


def test_a_submission_still_on_its_way_cannot_run_once_the_experiment_is_paused(desk: Desk) -> None:
    experiment = desk.post()
    desk.rounds()
    desk.want(experiment, Wanted.PAUSE)
    desk.rounds()
    assert desk.row(experiment).state == "paused"
    with pytest.raises(FileExistsError):  # a driver's first step
        desk.folder(experiment).driver(1).mkdir(parents=True)


TWO = NewResources(Resources(), Resources(workers_per_trial=2))


def resume_with_two(desk: Desk, experiment: str) -> None:
    with desk.database.session() as repository:
        repository.requests.want(experiment, Wanted.RUN, TWO)


def workers_of_spec(desk: Desk, experiment: str) -> int:
    """Return the number of workers in the spec that the next driver reads."""
    found = json.loads(desk.folder(experiment).spec.read_bytes()).get("resources", {})
    return int(found.get("workers_per_trial", 1))


def test_an_experiment_that_is_resumed_with_other_resources_starts_with_them(desk: Desk) -> None:
    experiment = paused(desk)
    resume_with_two(desk, experiment)
    assert workers_of_spec(desk, experiment) == 1
    desk.rounds()
    assert desk.run(experiment) == f"tet-{experiment}-2"
    assert workers_of_spec(desk, experiment) == 2


def test_a_late_reconciler_does_not_restore_the_old_resources(desk: Desk) -> None:
    """The late reconciler read the experiment while it was queued.

    Then the experiment was paused and got new resources, and another reconciler started it.
    """
    experiment = desk.post()
    seen = desk.row(experiment)
    desk.want(experiment, Wanted.PAUSE)
    desk.rounds()
    resume_with_two(desk, experiment)
    late = Acts(desk.database, desk.jobs, desk.settings)
    desk.rounds()
    late.start(seen, ExperimentState.QUEUED, NO_REASON)
    desk.run(experiment)
    late.start(seen, ExperimentState.QUEUED, NO_REASON)
    assert workers_of_spec(desk, experiment) == 2
    assert desk.row(experiment).driver_attempt == 1
