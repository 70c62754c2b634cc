"""Tests of the spec: defaults, faults, and the resolution of stages."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import FieldError, SpecInvalid
from service.spec.experiment import Experiment, Overrides, parse
from service.spec.resolving import resolve_stage
from tests.unions import members
from tet_core.config import AdamConfig, AugmentationStep, Crop, LifConfig, SgdConfig, Training


def tet() -> dict[str, Any]:
    return {"name": "tet", "lamb": 0.05, "phi": 1.0}


def train(**changes: Any) -> dict[str, Any]:
    return {"kind": "train", "T": 4, "epochs": 20, "loss": {"name": "sdt"}, **changes}


def spec(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(
        {
            "name": "digits: SDT, TET, TIT",
            "dataset": {"name": "digits"},
            "model": {"name": "vgg_small"},
            "arms": [
                {"name": "SDT", "stages": [train()]},
                {"name": "TET", "stages": [train(loss=tet())]},
                {"name": "TIT", "stages": [train(T=2, loss=tet()), train(epochs=5, loss=tet())]},
            ],
            "baseline": "SDT",
            "seeds": [0, 1, 2],
            "resources": {"cpus_per_trial": 1, "gpus_per_trial": 0, "workers_per_trial": 1},
            **changes,
        }
    )


def faults(raw: object) -> dict[str, FieldError]:
    with pytest.raises(SpecInvalid) as caught:
        parse(raw)
    return {error.field: error for error in caught.value.errors}


def fault(raw: object) -> FieldError:
    by_field = faults(raw)
    assert len(by_field) == 1, by_field
    return next(iter(by_field.values()))


def test_a_spec_with_several_arms_is_accepted_and_can_be_read_back() -> None:
    parsed = parse(spec())
    assert [arm.name for arm in parsed.arms] == ["SDT", "TET", "TIT"]
    assert parsed.baseline_arm == "SDT"
    assert parse(parsed.model_dump(mode="json")) == parsed


def test_keys_that_are_left_out_have_their_defaults() -> None:
    raw = spec()
    del raw["baseline"], raw["resources"]
    parsed = parse(raw)
    assert parsed.baseline_arm == "SDT"
    assert parsed.resources.cpus_per_trial == 1
    assert not parsed.validation


def test_overrides_have_the_fields_of_the_training_settings() -> None:
    assert set(Overrides.model_fields) == set(Training.model_fields)


def test_one_answer_has_all_faults() -> None:
    raw = spec(seeds=[], epoch=3, dataset={"name": "cifar"}, baseline="nobody")
    raw["arms"][0]["stages"][0]["T"] = 0
    raw["arms"][1]["stages"][0]["loss"]["lamb"] = -1
    raw["arms"][1]["name"] = "SDT"
    raw["arms"][2]["stages"][0].update(epochs=10**9, inherit="all")
    raw["arms"].append({"name": "empty", "stages": []})
    by_field = faults(raw)
    assert {field: error.pointer for field, error in by_field.items()} == {
        "epoch": "/epoch",
        "arms[0].stages[0].T": "/arms/0/stages/0/T",
        "arms[1].stages[0].loss.lamb": "/arms/1/stages/0/loss/lamb",
        "dataset.name": "/dataset/name",
        "arms[3].stages": "/arms/3/stages",
        "arms[1].name": "/arms/1/name",
        "seeds": "/seeds",
        "arms[2].stages[0].epochs": "/arms/2/stages/0/epochs",
        "baseline": "/baseline",
        "arms[2].stages[0].inherit": "/arms/2/stages/0/inherit",
    }
    assert by_field["dataset.name"].detail.startswith("must be one of 'digits', 'fashion_mnist', 'cifar10', ")
    assert by_field["arms[2].stages[0].epochs"].detail == "must be an integer at least 1 and at most 100,000"
    assert by_field["arms[1].stages[0].loss.lamb"].value == -1
    assert "arms[0] has the same name" in by_field["arms[1].name"].detail


def test_the_refusal_of_an_unknown_key_names_the_nearest_and_all_accepted_keys() -> None:
    raw = spec()
    raw["arms"][0]["stages"][0]["epoch"] = raw["arms"][0]["stages"][0].pop("epochs")
    by_field = faults(raw)
    assert by_field["arms[0].stages[0].epochs"].detail.startswith("is required: an integer at least 1")
    detail = by_field["arms[0].stages[0].epoch"].detail
    assert detail.startswith("unknown key; did you mean 'epochs'? accepted here: kind, T, epochs, loss, inherit, ")


@pytest.mark.parametrize("value", ["4", True, 4.0, None, [4], float("nan"), 10**400])
def test_no_other_value_is_converted_to_an_integer(value: object) -> None:
    raw = spec()
    raw["arms"][0]["stages"][0]["T"] = value
    error = fault(raw)
    assert (error.field, error.detail) == ("arms[0].stages[0].T", "must be an integer at least 1 and at most 1,000")


@pytest.mark.parametrize("value", ["0.1", True, float("nan"), float("inf"), 10**400])
def test_a_number_must_be_finite_and_no_other_value_is_converted_to_one(value: object) -> None:
    error = fault(spec(validation=value))
    assert (error.field, error.detail) == ("validation", "must be a finite number at least 0 and below 1")


@pytest.mark.parametrize(
    ("short", "full"), [("fp16", "float16"), ("bf16", "bfloat16"), ("fp32", "float32"), ("fp64", "float64")]
)
def test_precisions_have_short_names_too(short: str, full: str) -> None:
    assert parse(spec(precision=short)).precision == full


def test_an_integer_is_accepted_as_a_number() -> None:
    assert parse(spec(validation=0)).validation == 0.0


@pytest.mark.parametrize(
    ("field", "changes", "detail"),
    [
        ("optimizer.lr", {"optimizer": {"name": "adam", "lr": 0}}, "above 0 and at most 1,000"),
        ("optimizer.name", {"optimizer": {"name": "lion"}}, "must be one of 'adam', 'sgd'"),
        ("optimizer.name", {"optimizer": {"lr": 0.1}}, "must be one of 'adam', 'sgd'"),
        ("optimizer.betas[1]", {"optimizer": {"name": "adam", "betas": [0.9, 1]}}, "at least 0 and below 1"),
        ("augmentation[0].padding", {"augmentation": [{"name": "crop", "padding": 0}]}, "an integer at least 1"),
        (
            "precision",
            {"precision": "int8"},
            "must be one of 'auto', 'float32', 'float64', 'bfloat16', 'float16'",
        ),
        ("model.norm.alpha", {"model": {"name": "vgg_small", "norm": {"name": "tdbn", "alpha": -1}}}, "above 0"),
        ("resources.gpus_per_trial", {"resources": {"gpus_per_trial": 1.5}}, "several trials share a GPU"),
        ("resources.workers_per_trial", {"resources": {"workers_per_trial": 65}}, "at least 1 and at most 64"),
        (
            "resources.gpus_per_trial",
            {"resources": {"workers_per_trial": 2, "gpus_per_trial": 0.5}},
            "must be a whole number if workers_per_trial is 2",
        ),
        (
            "resources.reuse_actors",
            {"resources": {"workers_per_trial": 2, "reuse_actors": True}},
            "must be false if workers_per_trial is 2",
        ),
        (
            "batch_size",
            {"resources": {"workers_per_trial": 4}, "batch_size": 3},
            "must be at least workers_per_trial, which is 4",
        ),
        ("limits.stall_s", {"limits": {"stall_s": 0.5}}, "at least 1"),
        ("limits.max_time_s", {"limits": {"max_time_s": 0}}, "above 0"),
        ("limits.health.min_rate", {"limits": {"health": {"min_rate": 1}}}, "below max_rate, which is 1.0"),
        ("seeds[1]", {"seeds": [7, 7]}, r"seeds\[0\] is the same"),
        ("seeds[0]", {"seeds": [-1]}, "at least 0 and at most 2,147,483,647"),
        ("baseline", {"baseline": "tet"}, "name of an arm: 'SDT', 'TET', 'TIT'"),
        ("compare[0].arm", {"compare": [{"arm": "tet", "to": "SDT"}]}, "name of an arm: 'SDT', 'TET', 'TIT'"),
        ("compare[0].to", {"compare": [{"arm": "TET", "to": "sdt"}]}, "name of an arm: 'SDT', 'TET', 'TIT'"),
        ("compare[0].to", {"compare": [{"arm": "TET", "to": "TET"}]}, "must be another arm than 'arm'"),
        (
            "compare[1]",
            {"compare": [{"arm": "TET", "to": "SDT"}, {"arm": "SDT", "to": "TET"}]},
            r"must differ from compare\[0\]",
        ),
        ("compare", {"compare": []}, "at least 1"),
        ("margin", {"margin": 0.0}, "above 0"),
        ("margin", {"margin": 1}, "below 1"),
        (
            "model.name",
            {"model": {"name": "vggsnn"}},
            "'vggsnn' takes inputs of 16x16 pixels and more, not 8x8",
        ),
        ("name", {"name": "a/b"}, "no '/'"),
        ("name", {"name": "  "}, "blank"),
        ("name", {"name": "x" * 81}, "1 to 80 characters"),
        ("labels.lab", {"labels": {"lab": 3}}, "must be text"),
        ("arms", {"arms": []}, "at least 1 item"),
        ("arms", {"arms": {"name": "SDT"}}, "must be a list"),
    ],
)
def test_a_fault_names_its_field_and_what_is_accepted(field: str, changes: dict[str, Any], detail: str) -> None:
    raw = spec(**changes)
    if field == "arms":
        del raw["baseline"]
    error = fault(raw)
    assert error.field == field
    with pytest.raises(ValueError, match=detail):
        raise ValueError(error.detail)


@pytest.mark.parametrize("raw", [None, 3, "spec", [], [spec()]])
def test_a_document_that_is_no_mapping_is_refused(raw: object) -> None:
    assert fault(raw).field == "$"


@pytest.mark.parametrize("tau", [2.0, 2, -0.1, 1.0000001])
def test_a_time_constant_in_place_of_the_decay_factor_is_explained(tau: float) -> None:
    found = fault(spec(neuron={"name": "lif", "tau": tau}))
    assert (found.field, found.value) == ("neuron.tau", tau)
    assert found.detail == (
        "must be from 0 to 1, both included: the factor by which the potential decays at each step, not a time "
        "constant; a time constant tau, such as SpikingJelly's tau=2.0, is the factor 1 - 1/tau, here 0.5"
    )
    with pytest.raises(ValueError, match=re.escape(found.detail)):
        LifConfig(tau=tau)
    for accepted in (0, 1, 0.5):
        assert parse(spec(neuron={"name": "lif", "tau": accepted})).neuron == LifConfig(tau=accepted)


def test_too_many_chains_are_refused() -> None:
    raw = spec(seeds=list(range(50_000)))
    assert "at most 100,000 chains" in fault(raw).detail


def test_thousands_of_faults_are_counted_and_the_first_are_listed() -> None:
    with pytest.raises(SpecInvalid) as caught:
        parse(spec(seeds=[-1] * 3_000))
    assert len(caught.value.errors) == 500
    assert caught.value.total == 3_000 + 2_999


def test_a_stage_that_inherits_all_needs_the_same_optimiser_and_schedule() -> None:
    raw = spec(optimizer={"name": "sgd"})
    raw["arms"][2]["stages"][1].update(inherit="all", optimizer={"name": "adam"}, schedule={"name": "constant"})
    by_field = faults(raw)
    assert by_field["arms[2].stages[1].optimizer"].detail.startswith("must be 'sgd', the optimizer of the stage before")
    assert "arms[2].stages[1].schedule" in by_field


def resolved(raw: dict[str, Any], arm: int = 0, stage: int = 0) -> Any:
    return resolve_stage(parse(raw), arm, stage, seed=1)


def test_the_nearest_level_wins() -> None:
    raw = spec(optimizer={"name": "adam", "lr": 0.01, "weight_decay": 0.5}, batch_size=32)
    raw["arms"][0]["optimizer"] = {"name": "adam", "lr": 0.02}
    raw["arms"][1]["stages"][0]["optimizer"] = {"name": "sgd"}
    assert resolved(raw, 0).optimizer == AdamConfig(lr=0.02, weight_decay=0.5)
    assert resolved(raw, 1).optimizer == SgdConfig()
    assert resolved(raw, 2).optimizer == AdamConfig(lr=0.01, weight_decay=0.5)
    assert resolved(raw, 1).batch_size == 32


@pytest.mark.parametrize("step", members(AugmentationStep), ids=lambda step: str(step().name))
def test_data_sets_of_events_accept_exactly_the_augmentations_for_events(step: type[Any]) -> None:
    raw = spec(dataset={"name": "dvs_cifar10"}, model={"name": "vggsnn"}, augmentation=[{"name": step().name}])
    if step.fits_events:
        assert parse(raw).augmentation == (step(),)
    else:
        error = fault(raw)
        assert error.field == "augmentation[0].name"
        assert error.detail == "is for still images, and 'dvs_cifar10' holds events; use 'roll' or 'nda'"


def test_the_data_sets_augmentation_applies_unless_a_level_sets_one() -> None:
    assert resolved(spec()).augmentation == (Crop(padding=1),)
    assert resolved(spec(augmentation=[])).augmentation == ()


def test_stages_joined_by_inherit_all_share_one_schedule() -> None:
    stages = [train(epochs=3), train(epochs=4, inherit="all"), train(epochs=5, inherit="all"), train(epochs=6)]
    raw = spec(arms=[{"name": "SDT", "stages": stages}])
    places = [resolved(raw, stage=index) for index in range(4)]
    assert [place.epoch_offset for place in places] == [0, 3, 7, 12]
    assert [place.schedule_offset for place in places] == [0, 3, 7, 0]
    assert [place.schedule_epochs for place in places] == [12, 12, 12, None]


def test_gpus_decide_the_device_and_cpus_the_number_of_threads() -> None:
    config = resolved(spec(resources={"cpus_per_trial": 3, "gpus_per_trial": 0.5}))
    assert (config.device, config.num_threads) == ("cuda", 3)
    assert resolved(spec()).device == "cpu"


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=5), items, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(sorted(Experiment.model_fields)), documents)
def test_any_plain_data_is_accepted_or_refused_and_nothing_else_is_raised(key: str, value: object) -> None:
    try:
        parse(spec(**{key: value}))
    except SpecInvalid as error:
        str(error).encode()
