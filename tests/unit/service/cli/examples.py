"""Answers of the API about an experiment, for tests of the command line's output."""

from typing import Any

from service.answers.chains import ArmSearchView, ChainView, SearchView, StageView
from service.answers.experiments import ExperimentView, ProgressView


def stage(
    index: int = 0, T: int | None = 4, state: str = "waiting", epoch: int = 0, epochs: int = 20, **more: Any
) -> StageView:
    given: dict[str, Any] = {
        "kind": "train",
        "metrics": {},
        "weights_sha256": None,
        "mlflow_run_id": None,
        "attempts": 0,
        "failure": None,
    }
    values = given | {"index": index, "T": T, "state": state, "epoch": epoch, "epochs": epochs} | more
    return StageView.model_validate(values)


def chain(*stages: StageView, arm: str = "TIT", seed: int = 0, state: str = "running", reason: str = "") -> ChainView:
    values = {"id": f"{arm}-{seed}", "arm": arm, "seed": seed, "configuration": {}, "state": state, "reason": reason}
    return ChainView.model_validate(values | {"stages": list(stages)})


def progress(*chains: ChainView) -> ProgressView:
    """Return the progress over all chains of an experiment."""
    stages = [stage for chain in chains for stage in chain.stages]
    trains, analyses = ([s for s in stages if (s.kind == "train") is is_train] for is_train in (True, False))
    return ProgressView(
        stages_done=sum(s.state == "succeeded" for s in stages),
        stages_total=len(stages),
        chains_total=len(chains),
        epochs_done=sum(s.epoch for s in trains),
        epochs_total=sum(s.epochs for s in trains),
        rows_done=sum(s.epoch for s in analyses),
        rows_total=sum(s.epochs for s in analyses),
        work_done=sum(s.epoch * (s.T or 1) for s in stages),
        work_total=sum(s.epochs * (s.T or 1) for s in stages),
    )


def experiment(
    *chains: ChainView, state: str = "running", reason: str = "", name: str = "digits", search: SearchView | None = None
) -> ExperimentView:
    values: dict[str, Any] = {
        "id": "0198c2f0a5b7d1e2f3a4",
        "name": name,
        "state": state,
        "reason": reason,
        "reason_kind": "none",
        "owner": "local",
        "priority": 0,
        "generation": 1,
        "created_at": "2026-01-02T03:04:05.678Z",
        "links": {},
        "parents": [],
        "history": [],
        "resources": {},
        "resources_history": [],
        "search": search,
        "progress": progress(*chains),
        "chains": list(chains),
    }
    return ExperimentView.model_validate(values)


def counting(experiment: ExperimentView, **changes: int) -> ExperimentView:
    """Return the experiment with other totals, as if more chains were on later pages."""
    return experiment.model_copy(update={"progress": experiment.progress.model_copy(update=changes)})


def search(*arms: ArmSearchView, expected_end: str | None = None) -> SearchView:
    values = {"method": "random", "goal": ["val/accuracy"], "early_stopping": None, "expected_end": expected_end}
    return SearchView.model_validate(values | {"arms": list(arms)})
