"""Tests of the rerun of a search: the new spec trains each arm in its chosen configuration."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from service.derived.rerun import own_name, rerun
from service.errors import SpecInvalid
from service.search.configurations import ConfiguredArm, configured_arms
from service.spec.experiment import Experiment, StageConfig, parse
from service.spec.resolving import resolve_stage
from tests.unit.service.spec.test_spec import spec, tet, train
from tet_core.config import Layers, TrainConfig

Raw = dict[str, Any]
SEEDS = [10, 11]


def search(space: Raw, **changes: Any) -> Raw:
    """Return the spec of a grid search over this space, as the database stores it."""
    raw = spec(**{"validation": 0.1, "search": {"method": "grid", "space": space}, **changes})
    return parse(raw).model_dump(mode="json", exclude_unset=True)


def rerun_with(raw: Raw, picks: Sequence[ConfiguredArm], **changes: Any) -> Experiment:
    """Return the rerun of a search in which each arm has chosen one of its configurations."""
    names = [arm["name"] for arm in raw["arms"]]
    chosen = {name: pick.values for name, pick in zip(names, picks, strict=True)}
    return rerun(raw, **{"chosen": chosen, "seeds": SEEDS, "name": "best", **changes})


def all_picks(raw: Raw) -> Iterator[tuple[ConfiguredArm, ...]]:
    """Yield every combination of the arms' configurations."""
    return itertools.product(*configured_arms(parse(raw)))


def with_seed(stage: StageConfig, seed: int) -> StageConfig:
    """Return the configuration of a stage with another seed."""
    if isinstance(stage, TrainConfig):
        return stage.model_copy(update={"seed": seed})
    return stage.model_copy(update={"train": stage.train.model_copy(update={"seed": seed})})


def check_stages(new: Experiment, picks: Sequence[ConfiguredArm]) -> None:
    """Check that every stage of the rerun has the configuration that it had in the search, except for the seed."""
    for number, pick in enumerate(picks):
        for index, stage in enumerate(pick.stages):
            for seed in new.all_seeds:
                assert resolve_stage(new, number, index, seed) == with_seed(stage, seed)


def either(first: Any, second: Any) -> Raw:
    """Return a dimension of two values."""
    return {"choice": [first, second]}


LAYERED: Raw = {
    "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.5},
    "arms": [
        {"name": "with sgd", "optimizer": {"name": "sgd", "lr": 0.2}, "stages": [train()]},
        {
            "name": "with adam",
            "optimizer": {"name": "adam"},
            "stages": [train(loss=tet()), {"kind": "time_sweep", "T": [1]}],
        },
        {
            "name": "in.stages",
            "surrogate": {"name": "triangle", "gamma": 0.7},
            "stages": [train(optimizer={"name": "sgd", "weight_decay": 0.1}), train(epochs=5, loss=tet())],
        },
    ],
    "baseline": "with sgd",
}

AUGMENTED: Raw = {"augmentation": [{"name": "crop", "padding": 2}, {"name": "flip"}]}


@pytest.mark.parametrize(
    ("space", "changes"),
    [
        ({"optimizer.lr": either(0.01, 0.02), "loss.lamb": either(0.1, 0.2)}, {}),
        ({"T": either(2, 3), "epochs": either(4, 5)}, {}),
        (
            {
                "arms.TIT.stages.1.T": either(5, 6),
                "arms.TIT.stages.0.optimizer.lr": either(0.01, 0.02),
                "T": either(2, 3),
            },
            {},
        ),
        ({"optimizer.name": either("adam", "sgd")}, {"optimizer": {"name": "adam", "lr": 0.03, "weight_decay": 0.2}}),
        ({"optimizer.name": either("adam", "sgd"), "arms.TET.optimizer.lr": either(0.01, 0.02)}, {}),
        ({"surrogate.name": either("triangle", "arctan"), "surrogate.gamma": either(0.5, 2.0)}, {}),
        (
            {
                "batch_size": either(32, 64),
                "precision": either("fp32", "bf16"),
                "arms.SDT.neuron.tau": either(0.4, 0.5),
            },
            {},
        ),
        ({"optimizer.momentum": either(0.1, 0.9), "arms.with sgd.optimizer.weight_decay": either(0.01, 0.02)}, LAYERED),
        ({"optimizer.name": either("adam", "sgd")}, {**LAYERED, "optimizer": {"name": "sgd", "weight_decay": 0.3}}),
        (
            {"surrogate.gamma": either(0.5, 2.0), "schedule.lr_min": either(0.0, 1e-4), "loss.phi": either(0.5, 1.0)},
            LAYERED,
        ),
        ({"arms.in.stages.stages.1.surrogate.gamma": either(0.5, 2.0), "surrogate.gamma": either(0.6, 3.0)}, LAYERED),
        ({"augmentation.0.padding": either(2, 3)}, {}),
        ({"optimizer.betas.0": either(0.7, 0.8), "arms.TET.optimizer.betas.1": either(0.9, 0.99)}, {}),
        ({"augmentation.1.p": either(0.1, 0.2), "arms.TIT.stages.1.augmentation.0.padding": either(3, 4)}, AUGMENTED),
        ({"arms.with adam.augmentation.0.padding": either(2, 3), "optimizer.momentum": either(0.1, 0.9)}, LAYERED),
    ],
)
def test_each_arm_has_its_chosen_configuration_except_for_the_seed(space: Raw, changes: Raw) -> None:
    raw = search(space, **changes)
    for picks in all_picks(raw):
        new = rerun_with(raw, picks)
        check_stages(new, picks)
        assert new.search is None


@pytest.mark.slow
def test_arms_have_their_chosen_configurations_with_blocks_at_any_level() -> None:
    draw = random.Random(0)
    blocks: dict[str, tuple[Any, ...]] = {
        "optimizer": ({"name": "adam", "lr": 0.04}, {"name": "sgd", "momentum": 0.4}, {"name": "sgd", "lr": 0.3}),
        "surrogate": ({"name": "triangle", "gamma": 0.8}, {"name": "arctan"}, {"name": "sigmoid_forward", "k": 4.0}),
        "neuron": ({"name": "lif", "tau": 0.3}, {"name": "if"}, {"name": "lif", "reset": "soft"}),
        "augmentation": ([{"name": "crop", "padding": 2}], [{"name": "crop"}, {"name": "flip", "p": 0.3}]),
    }
    places: Raw = {
        "optimizer.lr": either(0.001, 0.002),
        "optimizer.weight_decay": either(0.01, 0.02),
        "loss.lamb": either(0.3, 0.4),
        "optimizer.name": either("sgd", "adam"),
        "surrogate.gamma": either(0.5, 2.0),
        "neuron.v_threshold": either(0.9, 1.1),
        "neuron.name": either("lif", "if"),
        "arms.b.optimizer.lr": either(0.003, 0.004),
        "arms.b.stages.1.epochs": either(3, 4),
        "arms.b.stages.1.neuron.v_threshold": either(0.8, 1.2),
        "arms.a.surrogate.gamma": either(0.6, 0.7),
        "T": either(1, 2),
        "augmentation.0.padding": either(3, 5),
        "arms.b.augmentation.0.padding": either(6, 7),
        "arms.a.stages.1.augmentation.1.p": either(0.1, 0.2),
        "optimizer.betas.0": either(0.5, 0.6),
        "arms.b.stages.0.optimizer.betas.1": either(0.7, 0.8),
    }

    def random_settings() -> Raw:
        return {key: draw.choice(each) for key, each in blocks.items() if draw.random() < 0.4}

    checked = 0
    for _ in range(300):
        arms = [
            {
                "name": name,
                **random_settings(),
                "stages": [train(**random_settings()), train(loss=tet(), **random_settings())],
            }
            for name in ("a", "b")
        ]
        space = {place: places[place] for place in draw.sample(sorted(places), 2)}
        raw = search(space, arms=arms, baseline="a", **random_settings())
        try:
            combinations = list(all_picks(raw))
        except SpecInvalid:  # such a search cannot run, so nothing is chosen
            continue
        for picks in combinations:
            check_stages(rerun_with(raw, picks), picks)
            checked += 1
    assert checked > 300


def test_a_value_that_all_arms_chose_stays_at_its_place() -> None:
    raw = search({"optimizer.lr": either(0.01, 0.02), "surrogate.gamma": either(0.5, 2.0)})
    chosen: Raw = {name: {"optimizer.lr": 0.02, "surrogate.gamma": 0.5} for name in ("SDT", "TET", "TIT")}
    chosen["TIT"] = {"optimizer.lr": 0.02, "surrogate.gamma": 2.0}
    new = rerun(raw, chosen, SEEDS, "best").model_dump(mode="json", exclude_unset=True)
    assert new["optimizer"] == {"name": "adam", "lr": 0.02}
    assert "surrogate" not in new
    assert [arm.get("surrogate") for arm in new["arms"]] == [{"name": "triangle", "gamma": g} for g in (0.5, 0.5, 2.0)]
    assert not any("optimizer" in arm for arm in new["arms"])


def test_a_list_in_which_arms_chose_different_values_is_written_into_the_arms() -> None:
    raw = search({"augmentation.0.padding": either(2, 3)}, **AUGMENTED)
    chosen: Raw = {name: {"augmentation.0.padding": padding} for name, padding in (("SDT", 2), ("TET", 3), ("TIT", 3))}
    new = rerun(raw, chosen, SEEDS, "best").model_dump(mode="json", exclude_unset=True)
    assert new["augmentation"] == AUGMENTED["augmentation"]
    padded_by_3 = [{"name": "crop", "padding": 3}, {"name": "flip", "p": 0.5}]
    assert [arm.get("augmentation") for arm in new["arms"]] == [None, padded_by_3, padded_by_3]
    chosen["SDT"] = chosen["TET"]
    equal = rerun(raw, chosen, SEEDS, "best").model_dump(mode="json", exclude_unset=True)
    assert equal["augmentation"] == [{"name": "crop", "padding": 3}, {"name": "flip"}]
    assert not any("augmentation" in arm for arm in equal["arms"])


def test_a_layer_that_all_arms_chose_is_written_into_the_network() -> None:
    place, pool = "model.layers.0.channels", {"kind": "pool", "size": "global"}
    raw = search({place: either(6, 8)}, model={"name": "layers", "layers": [{"kind": "conv", "channels": 4}, pool]})
    new = rerun(raw, {name: {place: 8} for name in ("SDT", "TET", "TIT")}, SEEDS, "best")
    assert new.model == Layers.model_validate({"layers": [{"kind": "conv", "channels": 8}, pool]})


def test_all_other_keys_are_those_of_the_search() -> None:
    raw = search({"optimizer.lr": either(0.01, 0.02)}, labels={"who": "me"}, priority=3, deterministic=False)
    new = rerun_with(raw, next(all_picks(raw))).model_dump(mode="json", exclude_unset=True)
    changed = ("name", "seeds", "search", "arms", "optimizer")
    assert {key: value for key, value in new.items() if key not in changed} == {
        key: value for key, value in raw.items() if key not in changed
    }
    assert (new["name"], new["seeds"], new["validation"]) == ("best", SEEDS, 0.1)


def test_early_stopping_is_left_out() -> None:
    raw = search({"optimizer.lr": either(0.01, 0.02)})
    picks = next(all_picks(raw))
    new = rerun_with(raw | {"early_stopping": {"name": "asha"}}, picks)
    assert "early_stopping" not in new.model_dump(mode="json", exclude_unset=True)


def test_arms_may_be_left_out_and_then_the_first_arm_is_the_baseline() -> None:
    raw = search({"optimizer.lr": either(0.01, 0.02)})
    new = rerun(raw, {"TIT": {"optimizer.lr": 0.02}, "TET": {"optimizer.lr": 0.01}}, SEEDS, "best")
    assert ([arm.name for arm in new.arms], new.baseline_arm) == (["TET", "TIT"], "TET")


def test_a_network_that_all_arms_chose_is_written_and_different_networks_are_refused() -> None:
    raw = search(
        {"model.width": either(4, 8), "model.norm.alpha": either(0.5, 1.0), "optimizer.lr": either(0.01, 0.02)}
    )
    num_equal = 0
    for picks in all_picks(raw):
        networks = {
            tuple(value for place, value in (pick.values or {}).items() if place.startswith("model")) for pick in picks
        }
        if len(networks) > 1:
            with pytest.raises(SpecInvalid, match="must be arms that have chosen the same network"):
                rerun_with(raw, picks)
            continue
        check_stages(rerun_with(raw, picks), picks)
        num_equal += 1
    assert num_equal == 4 * 2**3


def test_the_refusal_of_different_networks_names_the_places_in_which_they_differ() -> None:
    raw = search({"model.width": either(4, 8), "optimizer.lr": either(0.01, 0.02)})
    chosen = {
        name: {"model.width": width, "optimizer.lr": 0.01} for name, width in (("SDT", 4), ("TET", 4), ("TIT", 8))
    }
    with pytest.raises(SpecInvalid) as caught:
        rerun(raw, chosen, SEEDS, "best")
    (fault,) = caught.value.errors
    assert fault.field == "arms"
    assert fault.detail.endswith("model.width is 4 in 'SDT' and 8 in 'TIT'")
    assert rerun(raw, {"TIT": chosen["TIT"]}, SEEDS, "best").arms[0].name == "TIT"


def test_seeds_of_the_search_are_refused_and_listed() -> None:
    raw = search({"optimizer.lr": either(0.01, 0.02)}, seeds=list(range(20)))
    with pytest.raises(SpecInvalid) as caught:
        rerun_with(raw, next(all_picks(raw)), seeds=[30, *range(12)])
    (fault,) = caught.value.errors
    assert (fault.field, fault.value) == ("seeds", "0, 1, 2, 3, 4 and 7 more")
    assert "must be none of the search's own seeds" in fault.detail


def test_the_default_name_is_the_searchs_name_with_best_and_at_most_80_characters() -> None:
    assert own_name("lr") == "lr (best)"
    assert len(own_name("x" * 80)) == 80
