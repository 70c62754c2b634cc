"""A client's knowledge of an experiment, from which it predicts the answer to each request."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from service.states import EXPERIMENT_TRANSITIONS, TERMINAL, ExperimentState
from tests.fuzz.looking import Json

# The fields of an experiment that may change after its end.
MAY_CHANGE = ("checkpoints_removed_at",)
SUCCEEDED = ("succeeded", "stopped")


@dataclass
class Known:
    """One experiment: the accepted requests and the last view."""

    id: str
    parents: tuple[str, ...] = ()
    wanted: str = "run"
    removal: str | None = None
    is_gone: bool = False
    view: Json = field(default_factory=dict)
    # The state in the last event.
    event_state: ExperimentState = ExperimentState.QUEUED
    last_event: int = 0

    @property
    def is_deleted(self) -> bool:
        """Whether the API no longer shows it."""
        return self.removal == "everything"

    @property
    def state(self) -> ExperimentState:
        """The state in the last view."""
        return ExperimentState(self.view["state"])

    def status_of_request(self, wanted: str) -> int:
        """Return the status of the answer to `cancel`, `pause` or `run`."""
        if self.is_deleted:
            return 404
        if self.state in TERMINAL:
            return 202 if wanted == "cancel" and self.state is ExperimentState.CANCELLED else 409
        return 409 if self.wanted == "cancel" and wanted != "cancel" else 202

    def status_of_retry(self) -> int:
        """Return the status of the answer to `retry`."""
        if self.is_deleted:
            return 404
        if self.state is ExperimentState.QUEUED and self.view["generation"] > 1 and not self.view["started_at"]:
            return 409 if self.wanted == "cancel" else 202
        may = self.state in (ExperimentState.FAILED, ExperimentState.CANCELLED) and self.removal is None
        return 202 if may else 409

    def status_with_workers(self, what: str, num: int) -> int:
        """Return the status of the answer to `resume` or `retry` with `num` workers for each trial."""
        status = self.status_of_request("run") if what == "resume" else self.status_of_retry()
        if status != 202 or self.view["num_workers"] == num:
            return status
        may = self.state is ExperimentState.PAUSED if what == "resume" else self.state in TERMINAL
        return 202 if may else 409

    def status_of_removal(self, others: Collection["Known"]) -> int:
        """Return the status of the answer to `DELETE`."""
        if self.is_deleted:
            return 404
        is_needed = any(self.id in other.parents and not other.is_gone for other in others)
        return 409 if is_needed or self.state not in TERMINAL else 202

    def status_of_fork(self) -> int:
        """Return the status of the answer to `fork` without changes."""
        if self.is_deleted:
            return 404
        done = all(chain["stages"][-1]["state"] == "succeeded" for chain in self.view["chains"])
        return 202 if done and self.removal is None else 422

    def status_of_rerun(self) -> int:
        """Return the status of the answer to `rerun-best`, given that the experiment has no search."""
        return 404 if self.is_deleted else 409

    def status_of_verify(self, chain: int, stage: int) -> int:
        """Return the status of the answer to `verify`."""
        if self.is_deleted:
            return 404
        has_epochs = self.view["chains"][chain]["stages"][stage]["epoch"] > 0
        return 202 if has_epochs and self.view["checkpoints_removed_at"] is None else 409

    def see(self, view: Json) -> None:
        """Check that a new view is consistent and may follow the last one, and keep it."""
        check_view(view)
        if self.view:
            check_change(self.view, view)
        self.view = view

    def hear(self, number: int, event: Mapping[str, object]) -> None:
        """Check that an event of the experiment's state may follow the one before, if it is new."""
        if number <= self.last_event:
            return
        self.last_event = number
        before, after = self.event_state, ExperimentState(str(event["state"]))
        if "generation" in event:
            assert before in (ExperimentState.FAILED, ExperimentState.CANCELLED), f"{before} was retried"
            assert after is ExperimentState.QUEUED
        else:
            assert after is before or after in EXPERIMENT_TRANSITIONS[before], f"{before} -> {after}"
        self.event_state = after


def check_view(view: Json) -> None:
    """Check the promises about an experiment at any time."""
    stages = [stage for chain in view["chains"] for stage in chain["stages"]]
    done = sum(stage["state"] in SUCCEEDED for stage in stages)
    assert view["progress"] == {"stages_done": done, "stages_total": len(stages)}, view
    assert all(each["generation"] <= view["generation"] for each in view["resources_history"]), view
    assert len(view["history"]) == view["generation"] - 1, view
    assert all(stage["epoch"] <= stage["epochs"] for stage in stages), view
    states = {each["state"] for chain in view["chains"] for each in (chain, *chain["stages"])}
    if view["state"] in TERMINAL:
        assert view["finished_at"] is not None, view
        assert not states & {"waiting", "running"}, view
    else:
        assert view["finished_at"] is None, view
    if view["state"] in ("queued", "paused"):
        assert "running" not in states, view
    if view["state"] == "succeeded":
        assert done == len(stages), view


def check_change(before: Json, after: Json) -> None:
    """Check the promises about two successive views of an experiment."""
    for chain, chain_now in zip(before["chains"], after["chains"], strict=True):
        for stage, now in zip(chain["stages"], chain_now["stages"], strict=True):
            assert now["epoch"] >= stage["epoch"], (stage, now)
            assert stage["state"] not in SUCCEEDED or now == stage
    if before["state"] not in TERMINAL:
        return
    if after["generation"] == before["generation"]:
        assert _outcome(after) == _outcome(before), (before, after)
        return
    assert after["generation"] == before["generation"] + 1, (before, after)
    outcome = {key: before[key] for key in ("generation", "state", "reason", "started_at", "finished_at")}
    assert after["history"] == [*before["history"], outcome], (before, after)


def _outcome(view: Json) -> Json:
    return {key: value for key, value in view.items() if key not in MAY_CHANGE}
