"""Tests of the differences between an experiment and its preset, on which published numbers depend."""

from typing import Any

import pytest

from service.presets.catalogue import presets
from service.presets.recipe import Difference, differences_from
from service.presets.recipe import test_set_differences as of_test_set
from service.spec import parse

TABLE1 = presets()["table1-cifar100"]
TIT = presets()["table3-cifar10"]
PUBLISHED = [name for name, preset in presets().items() if preset.published]


def differences(changes: dict[str, Any], arm: str = "SDT T=2") -> list[tuple[str, str, str]]:
    found = differences_from(TABLE1, parse(TABLE1.with_changes(changes)))[arm]
    return [(each.place, each.value, each.of_preset) for each in found]


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_unchanged_preset_has_no_differences(name: str) -> None:
    preset = presets()[name]
    found = differences_from(preset, parse(preset.with_changes(None)))
    assert set(preset.published) <= set(found)
    assert not any(found.values())


def one_epoch(loss: dict[str, Any] | None = None, T: int = 2, **more: Any) -> dict[str, Any]:
    stage = {"kind": "train", "T": T, "epochs": 1, "loss": loss or {"name": "sdt"}}
    return {"arms": [{"name": "SDT T=2", "stages": [stage], **more}], "baseline": "SDT T=2"}


def test_another_data_set_model_and_number_of_epochs_are_named() -> None:
    changes = {"dataset": {"name": "digits"}, "model": {"name": "vgg_small"}, **one_epoch()}
    named = differences(changes)
    assert ("dataset.name", "digits", "cifar100") in named
    assert ("model.name", "vgg_small", "resnet19") in named
    assert ("epochs", "1", "300") in named


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"optimizer": {"name": "adam", "lr": 0.01}}, ("optimizer.lr", "0.01", "0.001")),
        ({"optimizer": {"name": "sgd"}}, ("optimizer.name", "sgd", "adam")),
        ({"schedule": {"name": "constant"}}, ("schedule.name", "constant", "cosine")),
        ({"batch_size": 64}, ("batch_size", "64", "128")),
        ({"augmentation": []}, ("augmentation", "[]", "[crop (padding 4), flip (p 0.5)]")),
        ({"neuron": {"name": "lif", "tau": 0.9}}, ("neuron.tau", "0.9", "0.5")),
        ({"surrogate": {"name": "triangle", "gamma": 2.0}}, ("surrogate.gamma", "2.0", "1.0")),
        ({"model": {"norm": {"name": "bn"}}}, ("model.norm.name", "bn", "tdbn")),
        ({"precision": "bfloat16"}, ("precision", "bfloat16", "float32")),
        ({"train_part": 0.1}, ("train_part", "0.1", "1.0")),
        ({"validation": 0.1}, ("validation", "0.1", "0.0")),
        ({"start": {"experiment": "0" * 20, "arm": "a", "stage": 0, "epochs": 1}}, None),
    ],
)
def test_each_part_of_the_recipe_counts(changes: dict[str, Any], difference: tuple[str, str, str] | None) -> None:
    assert differences(changes) == [difference or ("start", f"experiment {'0' * 20}", "none")]


def test_a_search_counts() -> None:
    search = {"method": "grid", "space": {"optimizer.lr": {"choice": [0.001, 0.01]}}, "goal": ["val/accuracy"]}
    named = differences({"validation": 0.1, "search": search})
    assert ("search", "grid", "none") in named


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [5]},
        {"name": "mine", "labels": {"a": "b"}, "priority": 3},
        {"resources": {"gpus_per_trial": 0, "cpus_per_trial": 2}},
        {"memory": "least", "deterministic": False, "sync_norm": False},
        {"limits": {"max_time_s": 5}},
    ],
)
def test_settings_that_are_no_part_of_the_recipe_do_not_count(changes: dict[str, Any]) -> None:
    assert differences(changes) == []


def test_norms_over_each_workers_own_samples_count_if_there_are_several_workers() -> None:
    changes = {"sync_norm": False, "resources": {"gpus_per_trial": 1, "workers_per_trial": 2}}
    assert differences(changes) == [("sync_norm", "false", "true")]
    assert differences({"resources": {"gpus_per_trial": 1, "workers_per_trial": 2}}) == []


def test_an_arm_of_the_same_name_with_another_loss_or_T_differs() -> None:
    tet = {"name": "tet", "lamb": 0.05}
    assert ("loss.name", "tet", "sdt") in differences(one_epoch(tet))
    assert ("T", "4", "2") in differences(one_epoch(T=4))
    assert ("neuron.name", "relu", "lif") in differences(one_epoch(neuron={"name": "relu"}))


def test_only_the_arms_that_differ_are_named() -> None:
    arms = [dict(arm) for arm in TABLE1.spec["arms"]]
    arms[0] = {**arms[0], "batch_size": 64}
    found = differences_from(TABLE1, parse(TABLE1.with_changes({"arms": arms})))
    assert [arm for arm, each in found.items() if each] == ["SDT T=2"]


def test_a_surrogate_makes_no_difference_to_relus() -> None:
    assert differences({"surrogate": {"name": "triangle", "gamma": 2.0}}, "ANN") == []


def test_stages_are_compared_one_by_one() -> None:
    arms = [dict(arm) for arm in TIT.spec["arms"]]
    index = next(number for number, arm in enumerate(arms) if len(arm["stages"]) == 2)
    first, second = arms[index]["stages"]
    name = arms[index]["name"]
    arms[index] = {**arms[index], "stages": [first, {**second, "epochs": 7}]}
    found = differences_from(TIT, parse(TIT.with_changes({"arms": arms})))[name]
    assert found == [Difference("stages[1].epochs", "7", str(second["epochs"]))]
    arms[index] = {**arms[index], "stages": [first]}
    found = differences_from(TIT, parse(TIT.with_changes({"arms": arms})))[name]
    assert found == [Difference("the number of train stages", "1", "2")]
    sweep = {"kind": "time_sweep", "T": [1, 2]}
    arms[index] = {**arms[index], "stages": [first, second, sweep]}
    assert differences_from(TIT, parse(TIT.with_changes({"arms": arms})))[name] == []


def test_fewer_test_samples_are_a_difference() -> None:
    assert of_test_set(TABLE1, 10) == [Difference("the number of test samples", "10", "10,000")]
    assert of_test_set(TABLE1, 10_000) == of_test_set(TABLE1, None) == []
