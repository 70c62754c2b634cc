"""Tests of the queue, round by round: order, limits, placement, and a full storage."""

import re
from typing import Any

import pytest

from service.control.jobs import RayJobs
from service.control.queue import REFUSED_AFTER_S
from service.control.reconciler import Reconciler
from service.events import Outcome
from service.plan import plan
from service.reasons import ReasonKind
from service.settings import Settings
from service.spec import parse
from service.states import ExperimentState, Wanted
from service.store.experiment_queries import Experiments
from tests.integration.control.conftest import Desk
from tests.unit.service.spec.test_spec import spec


def post(desk: Desk, owner: str = "local", **changes: Any) -> str:
    parsed = parse(spec(**changes))
    with desk.database.session() as repository:
        row = repository.experiments.create(parsed, plan(parsed))
        row.owner = owner
        return row.id


def states(desk: Desk, *ids: str) -> list[str]:
    return [desk.row(experiment_id).state for experiment_id in ids]


def succeed(desk: Desk, experiment_id: str) -> None:
    desk.say(experiment_id, Outcome(state=ExperimentState.SUCCEEDED), attempt=desk.row(experiment_id).driver_attempt)


def nodes(desk: Desk, *offers: dict[str, float]) -> None:
    """Set the cluster's answer about its nodes."""
    rows = [{"state": "ALIVE", "resources_total": offer} for offer in offers]
    desk.ray.replies["/api/v0/nodes?detail=true"] = (200, {"data": {"result": {"result": rows}}})


def test_the_next_to_start_is_the_first_of_the_highest_priority(desk: Desk) -> None:
    running, old, urgent = post(desk), post(desk), post(desk, priority=3)
    desk.rounds(2)
    assert states(desk, running, old, urgent) == ["queued", "queued", "starting"]
    for first, then in ((urgent, running), (running, old)):
        succeed(desk, first)
        desk.rounds()
        assert states(desk, first, then) == ["succeeded", "starting"]


def test_an_owner_at_its_limit_waits_and_the_next_owner_starts(desk: Desk) -> None:
    desk.settings = Settings.model_validate({**dict(desk.settings), "max_running": 3, "max_running_per_owner": 1})
    ann, again, bob = post(desk, "ann"), post(desk, "ann"), post(desk, "bob")
    desk.rounds()
    assert states(desk, ann, again, bob) == ["starting", "queued", "starting"]
    assert desk.row(again).reason == "waits: ann already runs 1 experiment(s), the limit for one owner"
    succeed(desk, ann)
    desk.rounds()
    assert (desk.row(again).state, desk.row(again).reason) == ("starting", "")


def test_an_experiment_that_fits_on_no_node_waits_until_a_node_is_large_enough(desk: Desk) -> None:
    nodes(desk, {"CPU": 8, "GPU": 1})
    large, small = post(desk, resources={"gpus_per_trial": 2}), post(desk)
    desk.rounds()
    assert states(desk, large, small) == ["queued", "starting"]
    assert re.search("waits for a node: a trial needs 1 CPU.* and 2 GPU.*the largest offer", desk.row(large).reason)
    succeed(desk, small)
    nodes(desk, {"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 4})
    desk.rounds()
    assert (desk.row(large).state, desk.row(large).reason) == ("starting", "")


def test_an_unplaceable_experiment_fails_if_it_asks_to_be_refused(desk: Desk) -> None:
    nodes(desk, {"CPU": 8})
    experiment = post(desk, resources={"gpus_per_trial": 2, "if_unplaceable": "refuse"})
    desk.rounds()
    assert desk.row(experiment).state == "queued"
    with desk.database.session() as repository:
        row = repository.experiments.get(experiment)
        row.queued_at = row.queued_at.fromtimestamp(row.queued_at.timestamp() - REFUSED_AFTER_S, row.queued_at.tzinfo)
    desk.rounds()
    assert desk.row(experiment).state == "failed"
    assert desk.row(experiment).reason.startswith("it cannot be placed: a trial needs 1 CPU(s) and 2 GPU(s)")
    assert desk.row(experiment).failure == {"type": "spec", "class": "user", "message": desk.row(experiment).reason}
    assert desk.work_states(experiment) == {"cancelled"}


def test_a_full_storage_pauses_running_experiments_until_there_is_space(desk: Desk) -> None:
    experiment, waiting = post(desk), post(desk)
    job = desk.run(experiment)
    roomy = desk.settings
    desk.settings = Settings.model_validate({**dict(roomy), "min_free_bytes": 2**62})
    desk.rounds()
    assert (desk.row(experiment).state, desk.ray.stops) == ("pausing", [job])
    desk.ray.end(job, "STOPPED")
    desk.rounds(2)
    row = desk.row(experiment)
    assert (row.state, row.wanted, row.reason_kind) == ("paused", "run", ReasonKind.STORAGE)
    words = r"the storage is full: .* MB are free at .*; it continues by itself once there is space$"
    assert re.match(words, row.reason)
    assert desk.row(waiting).state == "queued", "nothing starts meanwhile"
    assert desk.row(waiting).reason.startswith("the storage is full")
    desk.settings = roomy
    desk.rounds(2)
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("starting", ""), "it kept its place"
    assert (desk.row(waiting).state, desk.row(waiting).reason) == ("queued", "")


def test_a_storage_that_cannot_be_written_counts_as_full(desk: Desk) -> None:
    experiment = post(desk)
    desk.settings.storage.rename(desk.settings.home / "unmounted")
    desk.rounds()
    assert desk.row(experiment).state == "queued"
    assert desk.row(experiment).reason.startswith("the storage cannot be written: No such file or directory")


def test_resuming_a_held_experiment_changes_nothing(desk: Desk) -> None:
    experiment = post(desk)
    desk.ray.end(desk.run(experiment), "STOPPED")
    with desk.database.session() as repository:
        assert repository.transitions.hold_running("full") == 1
    desk.settings = Settings.model_validate({**dict(desk.settings), "min_free_bytes": 2**62})
    desk.rounds()
    desk.want(experiment, Wanted.RUN)
    desk.rounds(2)
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("paused", "full")


def test_an_experiment_that_cannot_be_started_does_not_block_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.settings = Settings.model_validate({**dict(desk.settings), "max_running": 2})
    broken, whole = post(desk), post(desk)
    desk.folder(broken).path.parent.mkdir(parents=True)
    desk.folder(broken).path.touch()  # a file where its folder should be
    desk.rounds()
    assert states(desk, broken, whole) == ["queued", "starting"]
    assert "the service cannot continue the experiment" in desk.row(broken).reason


def test_a_round_does_not_load_the_specs_of_waiting_experiments(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = [post(desk) for _ in range(20)]
    asked: list[str] = []
    true = Experiments.get

    def counting(self: Experiments, experiment_id: str, *, lock: bool = False) -> Any:
        asked.append(experiment_id)
        return true(self, experiment_id, lock=lock)

    monkeypatch.setattr(Experiments, "get", counting)
    desk.rounds()
    assert set(asked) == {first}


def test_an_experiment_that_ends_while_it_is_held_keeps_its_reason(desk: Desk) -> None:
    desk.settings = Settings.model_validate({**dict(desk.settings), "max_running": 2})
    ended, held = post(desk), post(desk)
    for job in (desk.run(ended), f"tet-{held}-1"):
        desk.ray.jobs[job]["status"] = "RUNNING"
    roomy = desk.settings
    desk.settings = Settings.model_validate({**dict(roomy), "min_free_bytes": 2**62})
    desk.cancel(ended)
    desk.rounds()
    desk.ray.end(f"tet-{ended}-1", "STOPPED")
    desk.rounds()
    desk.settings = roomy
    desk.rounds()
    assert (desk.row(ended).state, desk.row(ended).reason) == ("cancelled", "cancelled")
    assert desk.row(held).hold == ""


def test_two_reconcilers_start_no_more_experiments_than_may_run(desk: Desk) -> None:
    """While one reconciler decides, a more urgent experiment is posted, and another reconciler starts it."""
    late = post(desk)

    class SlowToListNodes(RayJobs):
        def cluster_resources(self) -> Any:
            urgent.append(post(desk, priority=9))
            desk.rounds()
            return None

    urgent: list[str] = []
    with SlowToListNodes(desk.ray.url, lambda: "token") as jobs:
        Reconciler(desk.database, jobs, desk.settings).round()
    assert states(desk, late, *urgent) == ["queued", "starting"]


def test_two_reconcilers_leave_each_owner_its_quota(desk: Desk) -> None:
    desk.settings = Settings.model_validate({**dict(desk.settings), "max_running": 3, "max_running_per_owner": 1})
    post(desk, "ann"), post(desk, "bob")
    desk.rounds()
    with desk.database.session() as repository:
        limits = {"running": 3, "running_per_owner": 1}
        assert [repository.transitions.has_room(owner, **limits) for owner in ("ann", "bob", "cid")] == [
            False,
            False,
            True,
        ]
        assert not repository.transitions.has_room("cid", running=2, running_per_owner=None)
