"""What a client knows of an experiment it posted: enough to foretell how each of its requests is answered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from service.states import EXPERIMENT_TRANSITIONS, TERMINAL, ExperimentState
from tests.fuzz.looking import Json

# What may still change of an experiment that has ended: what is recorded beside the outcome.
BESIDE = ("checkpoints_removed_at",)
SUCCEEDED = ("succeeded", "stopped")


@dataclass
class Known:
    """One experiment, by what was asked of it and what was seen."""

    id: str
    parents: tuple[str, ...] = ()
    wanted: str = "run"
    removal: str | None = None
    is_gone: bool = False
    view: Json = field(default_factory=dict)
    # The last state that its events told.
    told: ExperimentState = ExperimentState.QUEUED
    last_event: int = 0

    @property
    def is_deleted(self) -> bool:
        """Whether its users see it no more."""
        return self.removal == "everything"

    @property
    def state(self) -> ExperimentState:
        """As it was seen last."""
        return ExperimentState(self.view["state"])

    def status_of_request(self, wanted: str) -> int:
        """How `cancel`, `pause` or `run` is answered now."""
        if self.is_deleted:
            return 404
        if self.state in TERMINAL:
            return 202 if wanted == "cancel" and self.state is ExperimentState.CANCELLED else 409
        return 409 if self.wanted == "cancel" and wanted != "cancel" else 202

    def status_of_retry(self) -> int:
        """How `retry` is answered now."""
        if self.is_deleted:
            return 404
        if self.state is ExperimentState.QUEUED and self.view["generation"] > 1 and not self.view["started_at"]:
            return 409 if self.wanted == "cancel" else 202
        may = self.state in (ExperimentState.FAILED, ExperimentState.CANCELLED) and self.removal is None
        return 202 if may else 409

    def status_with_workers(self, what: str, num: int) -> int:
        """How `resume` or `retry` is answered now that asks for so many workers a trial."""
        status = self.status_of_request("run") if what == "resume" else self.status_of_retry()
        if status != 202 or self.view["num_workers"] == num:
            return status
        may = self.state is ExperimentState.PAUSED if what == "resume" else self.state in TERMINAL
        return 202 if may else 409

    def status_of_removal(self, others: Collection["Known"]) -> int:
        """How `DELETE` is answered now."""
        if self.is_deleted:
            return 404
        is_needed = any(self.id in other.parents and not other.is_gone for other in others)
        return 409 if is_needed or self.state not in TERMINAL else 202

    def status_of_fork(self) -> int:
        """How `fork` is answered now, with nothing changed."""
        if self.is_deleted:
            return 404
        done = all(chain["stages"][-1]["state"] == "succeeded" for chain in self.view["chains"])
        return 202 if done and self.removal is None else 422

    def status_of_rerun(self) -> int:
        """How `rerun-best` is answered now: it has no search."""
        return 404 if self.is_deleted else 409

    def status_of_verify(self, chain: int, stage: int) -> int:
        """How `verify` is answered now."""
        if self.is_deleted:
            return 404
        begun = self.view["chains"][chain]["stages"][stage]["epoch"] > 0
        return 202 if begun and self.view["checkpoints_removed_at"] is None else 409

    def see(self, view: Json) -> None:
        """Takes in how it is now, which has to follow from how it was."""
        check_view(view)
        if self.view:
            check_change(self.view, view)
        self.view = view

    def hear(self, number: int, event: Mapping[str, object]) -> None:
        """Takes in an event of its own state, if it is new; it has to follow from the one before."""
        if number <= self.last_event:
            return
        self.last_event = number
        after = ExperimentState(str(event["state"]))
        if "generation" in event:
            assert self.told in (ExperimentState.FAILED, ExperimentState.CANCELLED), f"{self.told} was retried"
            assert after is ExperimentState.QUEUED
        else:
            assert after is self.told or after in EXPERIMENT_TRANSITIONS[self.told], f"{self.told} -> {after}"
        self.told = after


def check_view(view: Json) -> None:
    """What holds of an experiment at any time."""
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
    """What holds between two looks at an experiment."""
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
    kept = {key: before[key] for key in ("generation", "state", "reason", "started_at", "finished_at")}
    assert after["history"] == [*before["history"], kept], (before, after)


def _outcome(view: Json) -> Json:
    return {key: value for key, value in view.items() if key not in BESIDE}
