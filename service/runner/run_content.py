"""What stands in the MLflow runs: names, tags, parameters and points, as functions of what is committed."""

from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import Metric

from service.plan import Chain, StagePlan
from service.runner.best import best_commit, best_key
from service.runner.stage_folder import Commit, Progress

PARENT_TAG = "mlflow.parentRunId"


def stage_key(experiment_id: str, chain: Chain, stage: StagePlan) -> str:
    """The stage's identity: experiment / chain / stage index."""
    return f"{experiment_id}/{chain.id}/{stage.index}"


def chain_name(chain: Chain) -> str:
    """A chain's run name."""
    return f"{chain.arm} · seed {chain.seed}"


def stage_label(chain: Chain, stage: StagePlan) -> str:
    """A stage as people read it: its run's name, its trial's, and its actor's in the Ray dashboard."""
    return f"{chain.arm} seed={chain.seed} stage={stage.index} T={stage.config.T}"


def chain_tags(chain: Chain) -> dict[str, str]:
    """Tags of a parent run, beside the experiment's and the chain's ids."""
    return {"tet.arm": chain.arm, "tet.seed": str(chain.seed)}


def stage_tags(experiment_id: str, chain: Chain, stage: StagePlan, parent: str) -> dict[str, str]:
    """Tags of a child run that are known when it begins."""
    return {
        **chain_tags(chain),
        PARENT_TAG: parent,
        "tet.stage": str(stage.index),
        "tet.stage_key": stage_key(experiment_id, chain, stage),
        "tet.kind": stage.kind,
        "tet.T": str(stage.config.T),
    }


def progress_tags(progress: Progress) -> dict[str, str]:
    """Tags of a child run that follow the attempts."""
    tags = {"tet.attempt": str(progress.num_attempts)}
    if progress.started:
        tags["tet.initial_sha256"] = progress.started[0].initial_sha256
        tags["tet.host"] = progress.started[-1].host
        tags["tet.num_parameters"] = str(progress.started[-1].num_parameters)
        tags |= {f"tet.environment.{key}": str(value) for key, value in progress.started[-1].environment.items()}
    if progress.last and progress.done:
        tags["tet.weights_sha256"] = progress.last.weights_sha256
    if progress.done and progress.done.failure:
        tags["tet.failure"] = f"{progress.done.failure['kind']}: {progress.done.failure['message']}"
    return tags


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """A nested configuration as parameters: `optimizer.lr`, `augmentation.0.name`."""
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple) and value:
        items = enumerate(value)
    else:
        return {prefix: "" if value is None else str(value)}
    return {k: v for key, inner in items for k, v in flatten(inner, f"{prefix}.{key}" if prefix else str(key)).items()}


def stage_params(stage: StagePlan) -> dict[str, str]:
    """A stage's resolved configuration as parameters."""
    return {"kind": stage.kind, **flatten(stage.config.model_dump(mode="json"))}


def chain_params(chain: Chain) -> dict[str, str]:
    """A chain's: those of its stages that are equal throughout, and every stage's T, epochs and loss by its index."""
    stages = [stage_params(stage) for stage in chain.stages]
    common = {key: value for key, value in stages[0].items() if all(other.get(key) == value for other in stages[1:])}
    own = {f"stages.{i}.{key}": stage[key] for i, stage in enumerate(stages) for key in ("T", "epochs", "loss.name")}
    return {"arm": chain.arm, **common, **own}


def points(commits: Iterable[Commit]) -> list[Metric]:
    """Committed epochs as MLflow points: the epoch is the step, the commit's own time the time."""
    return [
        Metric(key, value, commit.at_ms, commit.epoch) for commit in commits for key, value in commit.metrics.items()
    ]


def best_name(commits: Iterable[Commit]) -> str:
    """What the best epoch goes by: `best_val_epoch`, or `best_test_epoch`, the paper's habit."""
    return f"best_{best_key(list(commits)).split('/')[0]}_epoch"


def chain_points(progresses: list[Progress]) -> list[Metric]:
    """The parent's points, once all its stages have ended: step is the chain's number of epochs.

    `test/accuracy` is the final one, that of the last stage's last epoch; `test/accuracy_best_test_epoch` is the
    best of the last stage's epochs, chosen on the test set as the paper does; `train_time_s` is the training time of
    all committed epochs of all stages, evaluation apart.
    """
    last = progresses[-1]
    assert last.last is not None
    assert last.done is not None
    step = sum(len(progress.commits) for progress in progresses)
    values = {
        "test/accuracy": last.last.metrics["test/accuracy"],
        "test/accuracy_best_test_epoch": max(commit.metrics["test/accuracy"] for commit in last.commits),
        "train_time_s": sum(progress.train_time_s for progress in progresses),
    }
    if "val/accuracy" in last.last.metrics:
        values["test/accuracy_best_val_epoch"] = best_commit(last.commits).metrics["test/accuracy"]
        values["val/accuracy"] = last.last.metrics["val/accuracy"]
    return [Metric(key, value, last.done.at_ms, step) for key, value in values.items()]
