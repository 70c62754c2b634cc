"""The content of MLflow runs: names, tags, parameters and points, as functions of chains and commits."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import Metric

from service.chance import against_chance
from service.plan import Chain, StagePlan
from service.runner.commits.best import best_commit, best_key
from service.runner.commits.reading import StageProgress
from service.runner.commits.records import Commit, EndState
from service.spec.search import ACCURACY as VAL_ACCURACY
from service.spec.search import ENERGY as VAL_ENERGY
from service.states import WorkState
from service.titles import chain_title, stage_title
from tet_core.config import TrainConfig

TEST_ACCURACY = "test/accuracy"
PARENT_TAG = "mlflow.parentRunId"
# The metrics that a chain's run has as curves, by the start of their keys.
CURVES = ("train/", "test/", "val/")
# The longest key of a parameter that MLflow accepts, in characters.
MAX_KEY_LENGTH = 250


def stage_key(experiment_id: str, chain: Chain, stage: StagePlan) -> str:
    """Return the unique key of a stage: experiment/chain/stage index."""
    return f"{experiment_id}/{chain.id}/{stage.index}"


def chain_name(chain: Chain) -> str:
    """Return the name of a chain's run."""
    return chain_title(chain.arm, chain.seed, chain.hyperparameters)


def stage_label(chain: Chain, stage: StagePlan) -> str:
    """Return the name that people see: of a stage's run, of its trials, and of their actors in Ray's dashboard."""
    return stage_title(chain_name(chain), stage.index, len(chain.stages), stage.kind, stage.T)


def model_name(chain: Chain, stage: StagePlan) -> str:
    """Return the name of a stage's logged model, without the characters that MLflow refuses in such names."""
    configuration = f" configuration {chain.number}" if chain.hyperparameters else ""
    name = f"{chain.arm} seed {chain.seed}{configuration} stage {stage.index + 1} of {len(chain.stages)} T={stage.T}"
    return re.sub(r"[/:.%\"']", "_", name)


def chain_tags(chain: Chain) -> dict[str, str]:
    """Return the tags of a parent run, apart from the ids of experiment and chain."""
    configuration = {"tet.configuration": json.dumps(dict(chain.hyperparameters))} if chain.hyperparameters else {}
    return {"tet.arm": chain.arm, "tet.seed": str(chain.seed), **configuration}


def stage_tags(experiment_id: str, chain: Chain, stage: StagePlan, parent: str) -> dict[str, str]:
    """Return the tags of a child run that are known when it starts."""
    steps = {} if stage.T is None else {"tet.T": str(stage.T)}
    return {
        **chain_tags(chain),
        **steps,
        PARENT_TAG: parent,
        "tet.stage": str(stage.index),
        "tet.stage_key": stage_key(experiment_id, chain, stage),
        "tet.kind": stage.kind,
    }


def stop_tags(reason: str) -> dict[str, str]:
    """Return the further tags of a parent run whose chain was stopped."""
    return {"tet.stopped": reason}


def run_status(state: EndState) -> str:
    """Return MLflow's status for an end. A run that was stopped is KILLED: neither finished nor failed."""
    match state:
        case WorkState.SUCCEEDED:
            return "FINISHED"
        case WorkState.STOPPED:
            return "KILLED"
        case WorkState.FAILED:
            return "FAILED"


def table_tags(path: str) -> dict[str, str]:
    """Return the tags that make MLflow show an artifact as a table.

    `log_table` is not used, because a second call would append to the table.
    """
    return {"mlflow.loggedArtifacts": json.dumps([{"path": path, "type": "table"}])}


def progress_tags(progress: StageProgress) -> dict[str, str]:
    """Return the tags of a child run that change with each attempt."""
    tags = {"tet.attempt": str(progress.num_attempts)}
    if progress.started:
        tags["tet.initial_sha256"] = progress.started[0].initial_sha256
        tags["tet.host"] = progress.started[-1].host
        tags["tet.num_parameters"] = str(progress.started[-1].num_parameters)
        tags |= {f"tet.environment.{key}": str(value) for key, value in progress.started[-1].environment.items()}
    if progress.last and progress.done:
        tags["tet.weights_sha256"] = progress.last.weights_sha256
        tags |= chance_tags(progress)
    if progress.done and progress.done.failure:
        tags["tet.failure"] = f"{progress.done.failure.type}: {progress.done.failure.message}"
    return tags


def chance_tags(progress: StageProgress) -> dict[str, str]:
    """Return the tags that compare a stage's last test accuracy with chance; none if it is not known.

    `tet.against_chance` is `above`, `alike` (the accuracy cannot be distinguished from chance) or `below`.
    """
    accuracy = None if progress.last is None else progress.last.metrics.get(TEST_ACCURACY)
    if accuracy is None or progress.test_set is None:
        return {}
    chance = against_chance(accuracy, progress.test_set)
    return {
        "tet.against_chance": chance.verdict,
        "tet.chance": f"{chance.level:.6g}",
        "tet.num_test": str(chance.num_samples),
    }


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Return a nested configuration as parameters: `optimizer.lr`, `augmentation.0.name`."""
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple) and value:
        items = enumerate(value)
    else:
        return {prefix: "" if value is None else str(value)}
    return {k: v for key, inner in items for k, v in flatten(inner, f"{prefix}.{key}" if prefix else str(key)).items()}


def stage_params(stage: StagePlan) -> dict[str, str]:
    """Return a stage's configuration as parameters. An analysis also has its training's parameters, under `train.`."""
    values = stage.config.model_dump(mode="json")
    if isinstance(stage.config, TrainConfig):
        return {"kind": stage.kind, **flatten(values)}
    of_analysis = {key: ", ".join(map(str, v)) if isinstance(v, list) else v for key, v in values["analysis"].items()}
    return flatten(of_analysis) | flatten({"train": values["train"]})


def chain_params(chain: Chain) -> dict[str, str]:
    """Return a chain's parameters.

    These are: the parameters that all train stages share; under `stages.<index>.`, T, epochs and loss of each train
    stage and the kind of each analysis; under `search.<place in the spec>`, the values that a search has proposed.
    """
    stages = {stage.index: stage_params(stage) for stage in chain.stages}
    first, *others = (stages[stage.index] for stage in chain.train_stages)
    common = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    of_stages = {
        f"stages.{stage.index}.{key}": stages[stage.index][key]
        for stage in chain.stages
        for key in (("T", "epochs", "loss.name") if stage.is_train else ("kind",))
    }
    proposed = {_proposed_key(chain, place): str(value) for place, value in chain.hyperparameters.items()}
    return {"arm": chain.arm, **common, **of_stages, **proposed}


def _proposed_key(chain: Chain, place: str) -> str:
    """Return the key of a value that a search has proposed: its place in the arm, without the arm's name."""
    within = place.removeprefix(f"arms.{chain.arm}.")
    return re.sub(r"[^\w. :/-]", "_", f"search.{within}")[:MAX_KEY_LENGTH]


def points(commits: Iterable[Commit]) -> list[Metric]:
    """Return the points of commits, with the time of each commit. The step is the epoch, or the step of the row."""
    return [
        Metric(key, value, commit.at_ms, commit.epoch if commit.step is None else commit.step)
        for commit in commits
        for key, value in (commit.metrics | _of_layers(commit)).items()
    ]


def _of_layers(commit: Commit) -> dict[str, float]:
    """Return the health of the layers as metrics: `layers/features.0.lif/firing_rate` and `/gradient`."""
    return {
        f"layers/{name}/{key}": value
        for name, layer in commit.layers.items()
        for key, value in layer.model_dump().items()
    }


def commits_on_curve(chain: Chain, stage: StagePlan, progress: StageProgress) -> tuple[Commit, ...]:
    """Return the commits of a stage that belong on the curves of its chain's run now.

    An analysis has none. The chain's last epoch comes with the end of its stage, because its points have the time of
    that end, as `chain_points` and earlier versions log them: MLflow draws a step twice if its times differ.
    """
    if not stage.is_train:
        return ()
    is_ended = progress.done is not None and progress.done.state is WorkState.SUCCEEDED
    if stage.index != chain.train_stages[-1].index or is_ended:
        return progress.commits
    return tuple(commit for commit in progress.commits if commit.epoch < commit.epochs)


def curve_points(chain: Chain, stage: StagePlan, progress: StageProgress, after: int) -> list[Metric]:
    """Return the points of a stage on the curves of its chain's run. The step counts the epochs of the whole chain.

    Args:
        chain: The chain.
        stage: The stage.
        progress: The stage's progress.
        after: The epoch of the stage after which points are returned.
    """
    before = sum(each.epochs for each in chain.train_stages if each.index < stage.index)
    is_last = stage.index == chain.train_stages[-1].index
    return [
        Metric(key, value, _end_ms(progress) if is_last and commit.epoch == commit.epochs else commit.at_ms, step)
        for commit in commits_on_curve(chain, stage, progress)
        if commit.epoch > after
        for step in [before + commit.epoch]
        for key, value in commit.metrics.items()
        if key.startswith(CURVES)
    ]


def _end_ms(progress: StageProgress) -> int:
    assert progress.done is not None
    return progress.done.at_ms


def best_name(commits: Iterable[Commit]) -> str:
    """Return the name of the best epoch: `best_val_epoch`, or `best_test_epoch` if it is chosen on the test set."""
    return f"best_{best_key(list(commits)).split('/')[0]}_epoch"


def points_so_far(progresses: list[StageProgress]) -> list[Metric]:
    """Return the points of a stopped chain's run: the search's goals at the stop, so that runs can be compared."""
    step = sum(len(progress.commits) for progress in progresses)
    last = [progress.last for progress in progresses if progress.last is not None][-1:]
    return [
        Metric(key, value, commit.at_ms, step)
        for commit in last
        for key, value in {"train_time_s": _train_time_s(progresses), **_goals(commit)}.items()
    ]


def chain_points(progresses: list[StageProgress]) -> list[Metric]:
    """Return the points of a succeeded chain's run. The step is the chain's number of epochs.

    Args:
        progresses: The progress of the chain's train stages, in order.

    Returns:
        `test/accuracy` of the last stage's last epoch. `test/accuracy_best_test_epoch`: the best of the last stage's
        epochs, chosen on the test set as in the paper. `train_time_s`: the training time, in s, of all committed epochs
        of all stages, without evaluation. With a validation set, also `test/accuracy_best_val_epoch` and the values of
        possible goals of a search.
    """
    last = progresses[-1]
    assert last.last is not None
    assert last.done is not None
    step = sum(len(progress.commits) for progress in progresses)
    values = {
        TEST_ACCURACY: last.last.metrics[TEST_ACCURACY],
        "test/accuracy_best_test_epoch": max(commit.metrics[TEST_ACCURACY] for commit in last.commits),
        "train_time_s": _train_time_s(progresses),
        **_goals(last.last),
    }
    if VAL_ACCURACY in values:
        values["test/accuracy_best_val_epoch"] = best_commit(last.commits).metrics[TEST_ACCURACY]
    return [Metric(key, value, last.done.at_ms, step) for key, value in values.items()]


def _train_time_s(progresses: list[StageProgress]) -> float:
    return sum(progress.train_time_s for progress in progresses)


def _goals(commit: Commit) -> dict[str, float]:
    """Return the metrics of an epoch that may be goals of a search."""
    return {key: commit.metrics[key] for key in (VAL_ACCURACY, VAL_ENERGY) if key in commit.metrics}
