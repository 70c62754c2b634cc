"""What stands in the MLflow runs: names, tags, parameters and points, as functions of what is committed."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import Metric

from service.plan import Chain, StagePlan
from service.runner.commits.best import best_commit, best_key
from service.runner.commits.reading import StageProgress
from service.runner.commits.records import Commit
from service.search.wording import in_few_digits
from service.spec.search import ACCURACY as VAL_ACCURACY
from service.spec.search import ENERGY as VAL_ENERGY
from service.states import WorkState
from tet_core.config import TrainConfig

PARENT_TAG = "mlflow.parentRunId"
# MLflow's limit for the key of a parameter; and ours for what is drawn, in names that stand in every line of a log.
MAX_KEY_LENGTH = 250
MAX_VALUES_LENGTH = 200


def stage_key(experiment_id: str, chain: Chain, stage: StagePlan) -> str:
    """The stage's identity: experiment / chain / stage index."""
    return f"{experiment_id}/{chain.id}/{stage.index}"


def chain_name(chain: Chain) -> str:
    """A chain's run name."""
    return " · ".join([chain.arm, f"seed {chain.seed}", *_values(chain)])


def stage_label(chain: Chain, stage: StagePlan) -> str:
    """A stage as people read it: its run's name, its trial's, and its actor's in the Ray dashboard."""
    what = f"T={stage.config.T}" if stage.is_train else stage.kind
    return " ".join([chain.arm, f"seed={chain.seed}", *_values(chain), f"stage={stage.index} {what}"])


def _values(chain: Chain) -> list[str]:
    """What a search has drawn for a chain, if there is one; cut where it is long."""
    text = " ".join(in_few_digits(chain.hyperparameters))
    return [text if len(text) <= MAX_VALUES_LENGTH else text[: MAX_VALUES_LENGTH - 1] + "…"] if text else []


def chain_tags(chain: Chain) -> dict[str, str]:
    """Tags of a parent run, beside the experiment's and the chain's ids."""
    configuration = {"tet.configuration": json.dumps(dict(chain.hyperparameters))} if chain.hyperparameters else {}
    return {"tet.arm": chain.arm, "tet.seed": str(chain.seed), **configuration}


def stage_tags(experiment_id: str, chain: Chain, stage: StagePlan, parent: str) -> dict[str, str]:
    """Tags of a child run that are known when it begins."""
    steps = {} if stage.config.T is None else {"tet.T": str(stage.config.T)}
    return {
        **chain_tags(chain),
        **steps,
        PARENT_TAG: parent,
        "tet.stage": str(stage.index),
        "tet.stage_key": stage_key(experiment_id, chain, stage),
        "tet.kind": stage.kind,
    }


def stop_tags(reason: str) -> dict[str, str]:
    """Tags of a parent run that a search has stopped."""
    return {"tet.stopped": reason}


def status(state: WorkState) -> str:
    """What MLflow calls it; what a search has stopped is neither finished nor failed there."""
    return {WorkState.SUCCEEDED: "FINISHED", WorkState.STOPPED: "KILLED"}.get(state, "FAILED")


def table_tags(path: str) -> dict[str, str]:
    """What makes MLflow's pages show an artifact as a table; `log_table` would append to it the second time."""
    return {"mlflow.loggedArtifacts": json.dumps([{"path": path, "type": "table"}])}


def progress_tags(progress: StageProgress) -> dict[str, str]:
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
        tags["tet.failure"] = f"{progress.done.failure.type}: {progress.done.failure.message}"
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
    """A stage's resolved configuration as parameters; of an analysis its own, and the training's under `train.`."""
    values = stage.config.model_dump(mode="json")
    if isinstance(stage.config, TrainConfig):
        return {"kind": stage.kind, **flatten(values)}
    own = {key: ", ".join(map(str, v)) if isinstance(v, list) else v for key, v in values["analysis"].items()}
    return flatten(own) | flatten({"train": values["train"]})


def chain_params(chain: Chain) -> dict[str, str]:
    """A chain's: what its train stages share, by each stage's index its T, epochs and loss, or which analysis it is.

    Of a search also what was drawn, under `search.` and the number's place.
    """
    stages = {stage.index: stage_params(stage) for stage in chain.stages}
    first, *others = (stages[stage.index] for stage in chain.train_stages)
    common = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    own = {
        f"stages.{stage.index}.{key}": stages[stage.index][key]
        for stage in chain.stages
        for key in (("T", "epochs", "loss.name") if stage.is_train else ("kind",))
    }
    drawn = {_drawn_key(chain, place): str(value) for place, value in chain.hyperparameters.items()}
    return {"arm": chain.arm, **common, **own, **drawn}


def _drawn_key(chain: Chain, place: str) -> str:
    """What a search has drawn, as a parameter: its place within the arm, whose name MLflow might not take."""
    within = place.removeprefix(f"arms.{chain.arm}.")
    return re.sub(r"[^\w. :/-]", "_", f"search.{within}")[:MAX_KEY_LENGTH]


def points(commits: Iterable[Commit]) -> list[Metric]:
    """Committed epochs and rows as MLflow points, with the commit's own time; the step is the epoch, or a row's own."""
    return [
        Metric(key, value, commit.at_ms, commit.epoch if commit.step is None else commit.step)
        for commit in commits
        for key, value in (commit.metrics | _of_layers(commit)).items()
    ]


def _of_layers(commit: Commit) -> dict[str, float]:
    """How the layers were, as metrics: `layers/features.0.lif/firing_rate` and `/gradient`."""
    return {
        f"layers/{name}/{key}": value
        for name, layer in commit.layers.items()
        for key, value in layer.model_dump().items()
    }


def best_name(commits: Iterable[Commit]) -> str:
    """What the best epoch goes by: `best_val_epoch`, or `best_test_epoch`, the paper's habit."""
    return f"best_{best_key(list(commits)).split('/')[0]}_epoch"


def points_so_far(progresses: list[StageProgress]) -> list[Metric]:
    """Of a parent that was stopped: a search's goals where that was, so that pages which compare runs have it too."""
    step = sum(len(progress.commits) for progress in progresses)
    last = [progress.last for progress in progresses if progress.last is not None][-1:]
    return [
        Metric(key, value, commit.at_ms, step)
        for commit in last
        for key, value in {"train_time_s": _train_time_s(progresses), **_goals(commit)}.items()
    ]


def chain_points(progresses: list[StageProgress]) -> list[Metric]:
    """The parent's points, once all its stages have ended: step is the chain's number of epochs.

    Args:
        progresses: Of its train stages, in order.

    Returns:
        `test/accuracy`, the final one: that of the last stage's last epoch; `test/accuracy_best_test_epoch`, the best
        of the last stage's epochs, chosen on the test set as the paper does; `train_time_s`, the training time of
        all committed epochs of all stages, evaluation apart.
    """
    last = progresses[-1]
    assert last.last is not None
    assert last.done is not None
    step = sum(len(progress.commits) for progress in progresses)
    values = {
        "test/accuracy": last.last.metrics["test/accuracy"],
        "test/accuracy_best_test_epoch": max(commit.metrics["test/accuracy"] for commit in last.commits),
        "train_time_s": _train_time_s(progresses),
        **_goals(last.last),
    }
    if VAL_ACCURACY in values:
        values["test/accuracy_best_val_epoch"] = best_commit(last.commits).metrics["test/accuracy"]
    return [Metric(key, value, last.done.at_ms, step) for key, value in values.items()]


def _train_time_s(progresses: list[StageProgress]) -> float:
    return sum(progress.train_time_s for progress in progresses)


def _goals(commit: Commit) -> dict[str, float]:
    """What a search may go by, of an epoch."""
    return {key: commit.metrics[key] for key in (VAL_ACCURACY, VAL_ENERGY) if key in commit.metrics}
