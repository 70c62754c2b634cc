"""Pausing and resuming, round by round."""

import json

import pytest

from service.control.acts import Acts
from service.events import ChainChanged, Outcome, StageChanged
from service.reasons import NO_REASON
from service.spec.blocks import Resources
from service.states import ExperimentState, Wanted, WorkState
from service.store.requests import NewResources
from tests.integration.control.conftest import Desk


def test_what_is_queued_is_paused_at_once_and_queues_again(desk: Desk) -> None:
    experiment = desk.post()
    desk.want(experiment, Wanted.PAUSE)
    desk.rounds(3)
    assert (desk.row(experiment).state, desk.ray.posts) == ("paused", [])
    desk.want(experiment, Wanted.RUN)
    desk.rounds()
    desk.run(experiment)
    assert desk.ray.posts == [f"tet-{experiment}-1"]


def paused(desk: Desk) -> str:
    """An experiment that ran, with a stage at work, and was paused."""
    experiment = desk.post()
    job = desk.run(experiment)
    chain = desk.first_chain(experiment)
    running = {"chain": chain, "state": WorkState.RUNNING}
    desk.say(experiment, StageChanged(stage=0, epoch=2, **running), ChainChanged(**running))
    desk.want(experiment, Wanted.PAUSE)
    desk.rounds()
    assert (desk.row(experiment).state, desk.ray.stops) == ("pausing", [job])
    # What every driver says that is stopped.
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


def test_what_runs_is_stopped_and_then_paused_with_its_chains_waiting(desk: Desk) -> None:
    experiment = paused(desk)
    assert desk.work_states(experiment) == {"waiting"}
    desk.rounds(3)
    assert (desk.row(experiment).state, desk.row(experiment).driver_attempt) == ("paused", 1)


def test_a_driver_that_outlived_its_pause_has_nothing_running(desk: Desk) -> None:
    """Ray has lost its job; its process went on, and its events come late."""
    experiment = paused(desk)
    running = {"chain": desk.first_chain(experiment), "state": WorkState.RUNNING}
    desk.say(experiment, StageChanged(stage=0, epoch=4, **running), ChainChanged(**running))
    desk.rounds()
    assert desk.work_states(experiment) == {"waiting"}
    with desk.database.reading() as repository:
        assert repository.work.chains(experiment)[0].stages[0].epoch == 4, "its epoch is committed all the same"
        states = [
            event.data["state"] for event in repository.events.after(experiment) if event.type in ("stage", "chain")
        ]
    assert states[-2:] == ["waiting", "waiting"]


def test_what_is_paused_leaves_its_place_to_others_and_goes_on_when_resumed(desk: Desk) -> None:
    experiment, other = paused(desk), desk.post()
    job = desk.run(other)
    desk.want(experiment, Wanted.RUN)
    desk.rounds(3)
    assert desk.row(experiment).state == "queued"
    desk.say(other, Outcome(state=ExperimentState.SUCCEEDED))
    desk.ray.end(job, "SUCCEEDED")
    desk.rounds(3)
    assert (desk.row(experiment).state, desk.row(experiment).driver_attempt) == ("starting", 2)


def test_a_stretch_begins_with_each_start_after_a_rest(desk: Desk) -> None:
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
    assert (revived.stretch_started_at, revived.work_at_stretch) == (first.stretch_started_at, 0), "it goes on"

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


def test_what_is_resumed_while_it_is_being_paused_stops_first(desk: Desk) -> None:
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
def test_what_is_paused_can_be_cancelled(desk: Desk, state: str) -> None:
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


def test_a_driver_that_is_heard_of_after_the_pause_has_succeeded_all_the_same(desk: Desk) -> None:
    experiment = paused(desk)
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED))
    desk.rounds()
    assert desk.row(experiment).state == "succeeded"


def test_what_cannot_be_seen_is_not_paused_yet(desk: Desk) -> None:
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
    """As the next driver reads it."""
    found = json.loads(desk.folder(experiment).spec.read_bytes()).get("resources", {})
    return int(found.get("workers_per_trial", 1))


def test_what_is_resumed_with_other_resources_starts_with_them(desk: Desk) -> None:
    experiment = paused(desk)
    resume_with_two(desk, experiment)
    assert workers_of_spec(desk, experiment) == 1
    desk.rounds()
    assert desk.run(experiment) == f"tet-{experiment}-2"
    assert workers_of_spec(desk, experiment) == 2


def test_a_reconciler_that_is_late_does_not_bring_the_old_resources_back(desk: Desk) -> None:
    """It looked at what was queued; meanwhile that was paused, given others, and started by another one."""
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
