"""Tests of the content of MLflow runs: names, tags, parameters and points."""

import json

import pytest
from mlflow.utils.validation import _validate_param_name as validate_param_name

from service.failures import Failure, FailureType
from service.plan import Chain, plan
from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import read_progress
from service.runner.shipping import run_content as content
from service.spec import parse
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.writing import begin, write
from tests.unit.service.spec.test_spec import spec, train


def test_names_contain_arm_seed_stage_and_steps(chains: tuple[Chain, ...]) -> None:
    sdt, tit = chains
    assert content.chain_name(sdt) == "SDT · seed 0"
    assert content.stage_label(tit, tit.stages[1]) == "TIT · seed 0 · stage 2 of 2 · T=4"
    assert content.stage_key("e", tit, tit.stages[1]) == f"e/{tit.id}/1"


def test_only_children_have_the_stage_tag(chains: tuple[Chain, ...]) -> None:
    tit = chains[1]
    assert content.chain_tags(tit) == {"tet.arm": "TIT", "tet.seed": "0"}
    tags = content.stage_tags("e", tit, tit.stages[0], "the parent")
    assert (tags["tet.stage"], tags["tet.T"], tags["mlflow.parentRunId"]) == ("0", "2", "the parent")


def test_a_configuration_becomes_parameters_with_dotted_names() -> None:
    nested = {"a": {"b": [1, {"c": None}], "d": []}, "e": True, "f": 1e-3}
    assert content.flatten(nested) == {"a.b.0": "1", "a.b.1.c": "", "a.d": "[]", "e": "True", "f": "0.001"}


def test_a_stages_parameters_are_its_resolved_configuration(chains: tuple[Chain, ...]) -> None:
    params = content.stage_params(chains[1].stages[0])
    assert (params["kind"], params["T"], params["epochs"], params["loss.lamb"]) == ("train", "2", "2", "0.05")
    assert (params["dataset.name"], params["seed"]) == ("digits", "0")


def test_a_parent_has_the_shared_parameters_and_the_differing_ones_of_each_stage(chains: tuple[Chain, ...]) -> None:
    params = content.chain_params(chains[1])
    assert (params["arm"], params["loss.name"], params["optimizer.name"]) == ("TIT", "tet", "adam")
    assert (params["stages.0.T"], params["stages.1.T"], params["stages.1.epochs"]) == ("2", "4", "1")
    assert params.keys().isdisjoint({"T", "epochs", "epoch_offset"})


def test_points_have_the_epoch_and_time_of_their_commit(experiment: ExperimentFolder) -> None:
    write(experiment.stage("c", 0), 2, of=2)
    points = [p for p in content.points(read_progress(experiment.stage("c", 0)).commits) if p.key == "test/accuracy"]
    assert [(point.step, point.timestamp, point.value) for point in points] == [(1, 1, 0.5), (2, 2, 0.5)]


def test_tags_follow_the_attempts(experiment: ExperimentFolder) -> None:
    folder = experiment.stage("c", 0)
    begin(folder, "the first start")
    begin(folder, "a later start")
    tags = content.progress_tags(read_progress(folder))
    assert (tags["tet.attempt"], tags["tet.initial_sha256"]) == ("2", "the first start")
    assert tags["tet.environment.torch"] == "2"
    assert "tet.weights_sha256" not in tags
    write(folder, 3, of=3)
    assert content.progress_tags(read_progress(folder))["tet.weights_sha256"] == "03"


def test_a_failure_is_a_tag(experiment: ExperimentFolder) -> None:
    failure = Failure.of(FailureType.SPEC, "no such thing", kind="ConfigError")
    Attempt(experiment.stage("c", 0)).finish(state=WorkState.FAILED, at_ms=1, failure=failure)
    tags = content.progress_tags(read_progress(experiment.stage("c", 0)))
    assert tags == {"tet.attempt": "1", "tet.failure": "spec: no such thing"}


def test_the_points_of_a_parent_come_from_the_last_stage_but_its_time_is_that_of_all_stages(
    experiment: ExperimentFolder,
) -> None:
    write(experiment.stage("c", 0), 2, of=2, **{"test/accuracy": 0.99})
    write(experiment.stage("c", 1), 1, of=1, **{"test/accuracy": 0.7})
    points = content.chain_points([read_progress(experiment.stage("c", index)) for index in (0, 1)])
    assert {point.key: point.value for point in points} == {
        "test/accuracy": 0.7,
        "test/accuracy_best_test_epoch": 0.7,
        "train_time_s": 6.0,
    }
    assert {(point.step, point.timestamp) for point in points} == {(3, 9_000)}


def test_the_validation_set_chooses_the_best_epoch_if_there_is_one(experiment: ExperimentFolder) -> None:
    write(experiment.stage("c", 0), 1, of=1, **{"val/accuracy": 0.6})
    progress = read_progress(experiment.stage("c", 0))
    assert content.best_name(progress.commits) == "best_val_epoch"
    values = {point.key: point.value for point in content.chain_points([progress])}
    assert (values["test/accuracy_best_val_epoch"], values["val/accuracy"]) == (0.5, 0.6)


def test_succeeded_and_stopped_parents_have_the_goals_of_a_search(experiment: ExperimentFolder) -> None:
    goals = {"val/accuracy": 0.6, "val/energy_j": 1e-6}
    write(experiment.stage("c", 0), 2, of=2, **goals)
    ended = {point.key: point.value for point in content.chain_points([read_progress(experiment.stage("c", 0))])}
    assert ended.items() >= {**goals, "train_time_s": 4.0}.items()
    write(experiment.stage("stopped", 0), 1, of=2, **goals)
    so_far = content.points_so_far([read_progress(experiment.stage("stopped", 0))])
    assert {point.key: point.value for point in so_far} == {**goals, "train_time_s": 2.0}
    assert {point.step for point in so_far} == {1}


@pytest.fixture
def analysed() -> Chain:
    """Return a chain of a training, a time sweep and a landscape."""
    stages = [train(T=2, epochs=1), {"kind": "time_sweep", "T": [1, 4]}, {"kind": "landscape", "size": 3}]
    (chain,) = plan(parse(spec(arms=[{"name": "SDT", "stages": stages}], seeds=[0])))
    return chain


def test_an_analysis_is_named_by_its_kind(analysed: Chain) -> None:
    labels = [content.stage_label(analysed, stage) for stage in analysed.stages]
    assert labels == [
        f"SDT · seed 0 · stage {what}" for what in ("1 of 3 · T=2", "2 of 3 · time_sweep", "3 of 3 · landscape")
    ]
    sweep, landscape = (content.stage_tags("e", analysed, stage, "the parent") for stage in analysed.stages[1:])
    assert sweep["tet.kind"] == "time_sweep"
    assert "tet.T" not in sweep
    assert landscape["tet.T"] == "2"


def test_an_analysis_has_its_own_parameters_and_those_of_the_training(analysed: Chain) -> None:
    params = content.stage_params(analysed.stages[1])
    assert (params["kind"], params["T"], params["train.T"], params["train.loss.name"]) == (
        "time_sweep",
        "1, 4",
        "2",
        "sdt",
    )
    params = content.chain_params(analysed)
    assert (params["T"], params["epochs"], params["stages.0.T"], params["stages.2.kind"]) == (
        "2",
        "1",
        "2",
        "landscape",
    )
    assert "stages.1.T" not in params


def test_the_points_of_a_row_have_the_step_of_the_row(experiment: ExperimentFolder) -> None:
    folder = experiment.stage("c", 1)
    attempt = begin(folder)
    attempt.commit(
        epoch=1,
        epochs=2,
        at_ms=5,
        metrics={"time_sweep/accuracy": 0.5},
        weights_sha256="aa",
        file=attempt.row_path(1),
        step=7,
    )
    (point,) = content.points(read_progress(folder).commits)
    assert (point.key, point.step, point.timestamp) == ("time_sweep/accuracy", 7, 5)
    assert read_progress(folder).commits[0].checkpoint == "attempts/0001/row-000001.json"


def test_a_tag_makes_mlflow_show_a_table() -> None:
    (value,) = content.table_tags("table.json").values()
    assert json.loads(value) == [{"path": "table.json", "type": "table"}]


def test_proposed_values_are_in_names_tags_and_parameters() -> None:
    space = {"optimizer.lr": {"choice": [0.001, 0.0123456]}, "arms.T = 6, (é).loss.lamb": {"choice": [0.1, 0.2]}}
    arms = [{"name": "T = 6, (é)", "stages": [train(loss={"name": "tet"})]}]
    search = {"method": "grid", "space": space}
    chain = plan(parse(spec(arms=arms, baseline=None, seeds=[0], validation=0.1, search=search)))[-1]
    drawn = "optimizer.lr=0.01235 arms.T = 6, (é).loss.lamb=0.2"
    assert content.chain_name(chain) == f"T = 6, (é) · seed 0 · {drawn}"
    assert content.stage_label(chain, chain.stages[0]) == f"T = 6, (é) · seed 0 · {drawn} · stage 1 of 1 · T=4"
    assert json.loads(content.chain_tags(chain)["tet.configuration"]) == dict(chain.hyperparameters)
    params = content.chain_params(chain)
    assert {key: value for key, value in params.items() if key.startswith("search.")} == {
        "search.optimizer.lr": "0.0123456",
        "search.loss.lamb": "0.2",
    }
    assert (params["optimizer.lr"], params["loss.lamb"]) == ("0.0123456", "0.2")
    for key in params:
        validate_param_name(key)


def test_the_name_of_a_proposed_value_in_a_list_has_the_index_of_its_item() -> None:
    of_all, of_stage = "augmentation.0.padding", "arms.TIT.stages.1.augmentation.0.padding"
    space = {of_all: {"choice": [2, 3]}, of_stage: {"choice": [5, 6]}}
    raw = spec(seeds=[0], validation=0.1, search={"method": "grid", "space": space})
    chain = next(chain for chain in plan(parse(raw)) if chain.arm == "TIT")
    params = content.chain_params(chain)
    drawn = {place: str(value) for place, value in chain.hyperparameters.items()}
    assert {key: value for key, value in params.items() if key.startswith("search.")} == {
        "search.augmentation.0.padding": drawn[of_all],
        "search.stages.1.augmentation.0.padding": drawn[of_stage],
    }
    assert [content.stage_params(stage)[of_all] for stage in chain.stages] == [drawn[of_all], drawn[of_stage]]
    for key in params:
        validate_param_name(key)


def test_long_values_are_truncated_in_names() -> None:
    choice = {"choice": ["adam", "sgd"]}
    arms = [{"name": "a" * 80, "stages": [train()] * 9}]
    space = {f"arms.{'a' * 80}.stages.{number}.optimizer.name": choice for number in range(9)}
    search = {"method": "random", "num_configurations": 1, "space": space}
    (chain,) = plan(parse(spec(arms=arms, baseline=None, seeds=[0], validation=0.1, search=search)))
    assert len(content.chain_name(chain)) < 300
    assert all(len(key) <= 250 for key in content.chain_params(chain))


def test_an_ended_stage_says_whether_its_accuracy_can_be_told_from_chance(experiment: ExperimentFolder) -> None:
    folder = experiment.stage("c", 0)
    attempt = begin(folder, counts={"num_test": 355, "num_classes": 10, "num_test_majority": 37})
    attempt.commit(epoch=1, epochs=1, at_ms=1, metrics={"test/accuracy": 0.0958}, weights_sha256="01")
    of_chance = {"tet.against_chance": "alike", "tet.chance": "0.104225", "tet.num_test": "355"}
    assert content.progress_tags(read_progress(folder)).keys().isdisjoint(of_chance)
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=2)
    assert content.chance_tags(read_progress(folder)) == of_chance
    assert content.progress_tags(read_progress(folder)).items() >= of_chance.items()


def test_without_the_counts_of_the_test_set_nothing_is_said_about_chance(experiment: ExperimentFolder) -> None:
    write(experiment.stage("c", 0), 1, of=1)
    assert content.chance_tags(read_progress(experiment.stage("c", 0))) == {}
