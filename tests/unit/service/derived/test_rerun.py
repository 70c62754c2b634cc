"""From a search to an experiment of what it has chosen."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from service.derived.rerun import own_name, rerun
from service.errors import SpecInvalid
from service.search.configurations import ConfiguredArm, configured_arms
from service.spec.experiment import Experiment, StageConfig, parse, resolve_stage
from tests.unit.service.spec.test_spec import spec, tet, train
from tet_core.config import Layers, TrainConfig

Raw = dict[str, Any]
SEEDS = [10, 11]


def search(space: Raw, **changes: Any) -> Raw:
    """The spec of a grid, as the database has it."""
    raw = spec(**{"validation": 0.1, "search": {"method": "grid", "space": space}, **changes})
    return parse(raw).model_dump(mode="json", exclude_unset=True)


def rerun_with(raw: Raw, picks: Sequence[ConfiguredArm], **changes: Any) -> Experiment:
    names = [arm["name"] for arm in raw["arms"]]
    chosen = {name: own.values for name, own in zip(names, picks, strict=True)}
    return rerun(raw, **{"chosen": chosen, "seeds": SEEDS, "name": "best", **changes})


def choices(raw: Raw) -> Iterator[tuple[ConfiguredArm, ...]]:
    """Whatever each arm may choose, beside whatever the others do."""
    return itertools.product(*configured_arms(parse(raw)))


def seeded(stage: StageConfig, seed: int) -> StageConfig:
    if isinstance(stage, TrainConfig):
        return stage.model_copy(update={"seed": seed})
    return stage.model_copy(update={"train": stage.train.model_copy(update={"seed": seed})})


def same(made: Experiment, picks: Sequence[ConfiguredArm]) -> None:
    """Every stage of every arm runs with what the search ran it with, but for the seed."""
    for number, own in enumerate(picks):
        for index, stage in enumerate(own.stages):
            for seed in made.seeds:
                assert resolve_stage(made, number, index, seed) == seeded(stage, seed)


def two(low: Any, high: Any) -> Raw:
    return {"choice": [low, high]}


LAYERED: Raw = {
    "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.5},
    "arms": [
        {"name": "own", "optimizer": {"name": "sgd", "lr": 0.2}, "stages": [train()]},
        {
            "name": "other",
            "optimizer": {"name": "adam"},
            "stages": [train(loss=tet()), {"kind": "time_sweep", "T": [1]}],
        },
        {
            "name": "in.stages",
            "surrogate": {"name": "triangle", "gamma": 0.7},
            "stages": [train(optimizer={"name": "sgd", "weight_decay": 0.1}), train(epochs=5, loss=tet())],
        },
    ],
    "baseline": "own",
}

AUGMENTED: Raw = {"augmentation": [{"name": "crop", "padding": 2}, {"name": "flip"}]}


@pytest.mark.parametrize(
    ("space", "changes"),
    [
        ({"optimizer.lr": two(0.01, 0.02), "loss.lamb": two(0.1, 0.2)}, {}),
        ({"T": two(2, 3), "epochs": two(4, 5)}, {}),
        ({"arms.TIT.stages.1.T": two(5, 6), "arms.TIT.stages.0.optimizer.lr": two(0.01, 0.02), "T": two(2, 3)}, {}),
        ({"optimizer.name": two("adam", "sgd")}, {"optimizer": {"name": "adam", "lr": 0.03, "weight_decay": 0.2}}),
        ({"optimizer.name": two("adam", "sgd"), "arms.TET.optimizer.lr": two(0.01, 0.02)}, {}),
        ({"surrogate.name": two("triangle", "arctan"), "surrogate.gamma": two(0.5, 2.0)}, {}),
        ({"batch_size": two(32, 64), "precision": two("fp32", "bf16"), "arms.SDT.neuron.tau": two(0.4, 0.5)}, {}),
        ({"optimizer.momentum": two(0.1, 0.9), "arms.own.optimizer.weight_decay": two(0.01, 0.02)}, LAYERED),
        ({"optimizer.name": two("adam", "sgd")}, {**LAYERED, "optimizer": {"name": "sgd", "weight_decay": 0.3}}),
        ({"surrogate.gamma": two(0.5, 2.0), "schedule.lr_min": two(0.0, 1e-4), "loss.phi": two(0.5, 1.0)}, LAYERED),
        ({"arms.in.stages.stages.1.surrogate.gamma": two(0.5, 2.0), "surrogate.gamma": two(0.6, 3.0)}, LAYERED),
        ({"augmentation.0.padding": two(2, 3)}, {}),
        ({"optimizer.betas.0": two(0.7, 0.8), "arms.TET.optimizer.betas.1": two(0.9, 0.99)}, {}),
        ({"augmentation.1.p": two(0.1, 0.2), "arms.TIT.stages.1.augmentation.0.padding": two(3, 4)}, AUGMENTED),
        ({"arms.other.augmentation.0.padding": two(2, 3), "optimizer.momentum": two(0.1, 0.9)}, LAYERED),
    ],
)
def test_each_arm_runs_with_what_it_has_chosen_but_for_the_seed(space: Raw, changes: Raw) -> None:
    raw = search(space, **changes)
    for picks in choices(raw):
        made = rerun_with(raw, picks)
        same(made, picks)
        assert made.search is None


@pytest.mark.slow
def test_it_holds_for_blocks_at_any_level() -> None:
    draw = random.Random(0)
    blocks: dict[str, tuple[Any, ...]] = {
        "optimizer": ({"name": "adam", "lr": 0.04}, {"name": "sgd", "momentum": 0.4}, {"name": "sgd", "lr": 0.3}),
        "surrogate": ({"name": "triangle", "gamma": 0.8}, {"name": "arctan"}, {"name": "sigmoid_forward", "k": 4.0}),
        "neuron": ({"name": "lif", "tau": 0.3}, {"name": "if"}, {"name": "lif", "reset": "soft"}),
        "augmentation": ([{"name": "crop", "padding": 2}], [{"name": "crop"}, {"name": "flip", "p": 0.3}]),
    }
    places: Raw = {
        "optimizer.lr": two(0.001, 0.002),
        "optimizer.weight_decay": two(0.01, 0.02),
        "loss.lamb": two(0.3, 0.4),
        "optimizer.name": two("sgd", "adam"),
        "surrogate.gamma": two(0.5, 2.0),
        "neuron.v_threshold": two(0.9, 1.1),
        "neuron.name": two("lif", "if"),
        "arms.b.optimizer.lr": two(0.003, 0.004),
        "arms.b.stages.1.epochs": two(3, 4),
        "arms.b.stages.1.neuron.v_threshold": two(0.8, 1.2),
        "arms.a.surrogate.gamma": two(0.6, 0.7),
        "T": two(1, 2),
        "augmentation.0.padding": two(3, 5),
        "arms.b.augmentation.0.padding": two(6, 7),
        "arms.a.stages.1.augmentation.1.p": two(0.1, 0.2),
        "optimizer.betas.0": two(0.5, 0.6),
        "arms.b.stages.0.optimizer.betas.1": two(0.7, 0.8),
    }

    def some() -> Raw:
        return {key: draw.choice(each) for key, each in blocks.items() if draw.random() < 0.4}

    checked = 0
    for _ in range(300):
        arms = [
            {"name": name, **some(), "stages": [train(**some()), train(loss=tet(), **some())]} for name in ("a", "b")
        ]
        space = {place: places[place] for place in draw.sample(sorted(places), 2)}
        raw = search(space, arms=arms, baseline="a", **some())
        try:
            found = list(choices(raw))
        except SpecInvalid:  # what a search refuses is chosen by none
            continue
        for picks in found:
            same(rerun_with(raw, picks), picks)
            checked += 1
    assert checked > 300


def test_what_all_have_chosen_alike_stays_where_it_stood() -> None:
    raw = search({"optimizer.lr": two(0.01, 0.02), "surrogate.gamma": two(0.5, 2.0)})
    chosen: Raw = {name: {"optimizer.lr": 0.02, "surrogate.gamma": 0.5} for name in ("SDT", "TET", "TIT")}
    chosen["TIT"] = {"optimizer.lr": 0.02, "surrogate.gamma": 2.0}
    made = rerun(raw, chosen, SEEDS, "best").model_dump(mode="json", exclude_unset=True)
    assert made["optimizer"] == {"name": "adam", "lr": 0.02}
    assert "surrogate" not in made
    assert [arm.get("surrogate") for arm in made["arms"]] == [{"name": "triangle", "gamma": g} for g in (0.5, 0.5, 2.0)]
    assert not any("optimizer" in arm for arm in made["arms"])


def test_a_list_of_which_arms_have_chosen_differently_is_written_into_each() -> None:
    raw = search({"augmentation.0.padding": two(2, 3)}, **AUGMENTED)
    chosen: Raw = {name: {"augmentation.0.padding": padding} for name, padding in (("SDT", 2), ("TET", 3), ("TIT", 3))}
    made = rerun(raw, chosen, SEEDS, "best").model_dump(mode="json", exclude_unset=True)
    assert made["augmentation"] == AUGMENTED["augmentation"]
    three = [{"name": "crop", "padding": 3}, {"name": "flip", "p": 0.5}]
    assert [arm.get("augmentation") for arm in made["arms"]] == [None, three, three]
    chosen["SDT"] = chosen["TET"]
    alike = rerun(raw, chosen, SEEDS, "best").model_dump(mode="json", exclude_unset=True)
    assert alike["augmentation"] == [{"name": "crop", "padding": 3}, {"name": "flip"}]
    assert not any("augmentation" in arm for arm in alike["arms"])


def test_a_layer_that_all_have_chosen_is_written() -> None:
    place, pool = "model.layers.0.channels", {"kind": "pool", "size": "global"}
    raw = search({place: two(6, 8)}, model={"name": "layers", "layers": [{"kind": "conv", "channels": 4}, pool]})
    made = rerun(raw, {name: {place: 8} for name in ("SDT", "TET", "TIT")}, SEEDS, "best")
    assert made.model == Layers.model_validate({"layers": [{"kind": "conv", "channels": 8}, pool]})


def test_all_else_is_the_searchs() -> None:
    raw = search({"optimizer.lr": two(0.01, 0.02)}, labels={"who": "me"}, priority=3, deterministic=False)
    made = rerun_with(raw, next(choices(raw))).model_dump(mode="json", exclude_unset=True)
    own = ("name", "seeds", "search", "arms", "optimizer")
    assert {key: value for key, value in made.items() if key not in own} == {
        key: value for key, value in raw.items() if key not in own
    }
    assert (made["name"], made["seeds"], made["validation"]) == ("best", SEEDS, 0.1)


def test_chains_are_trained_to_their_end() -> None:
    raw = search({"optimizer.lr": two(0.01, 0.02)})
    picks = next(choices(raw))
    # As the database has it of a version that stops early.
    made = rerun_with(raw | {"early_stopping": {"name": "asha"}}, picks)
    assert "early_stopping" not in made.model_dump(mode="json", exclude_unset=True)


def test_arms_may_be_left_out_and_the_first_is_the_baseline_then() -> None:
    raw = search({"optimizer.lr": two(0.01, 0.02)})
    made = rerun(raw, {"TIT": {"optimizer.lr": 0.02}, "TET": {"optimizer.lr": 0.01}}, SEEDS, "best")
    assert ([arm.name for arm in made.arms], made.baseline_arm) == (["TET", "TIT"], "TET")


def test_a_network_that_all_have_chosen_is_written() -> None:
    raw = search({"model.width": two(4, 8), "model.norm.alpha": two(0.5, 1.0), "optimizer.lr": two(0.01, 0.02)})
    agreeing = 0
    for picks in choices(raw):
        networks = {
            tuple(value for place, value in (own.values or {}).items() if place.startswith("model")) for own in picks
        }
        if len(networks) > 1:
            with pytest.raises(SpecInvalid, match="must be arms that have chosen the same network"):
                rerun_with(raw, picks)
            continue
        same(rerun_with(raw, picks), picks)
        agreeing += 1
    assert agreeing == 4 * 2**3


def test_networks_that_differ_are_named_with_where_they_do() -> None:
    raw = search({"model.width": two(4, 8), "optimizer.lr": two(0.01, 0.02)})
    chosen = {
        name: {"model.width": width, "optimizer.lr": 0.01} for name, width in (("SDT", 4), ("TET", 4), ("TIT", 8))
    }
    with pytest.raises(SpecInvalid) as caught:
        rerun(raw, chosen, SEEDS, "best")
    (fault,) = caught.value.errors
    assert fault.field == "arms"
    assert fault.detail.endswith("model.width is 4 in 'SDT' and 8 in 'TIT'")
    assert rerun(raw, {"TIT": chosen["TIT"]}, SEEDS, "best").arms[0].name == "TIT"


def test_seeds_that_chose_are_refused_by_name() -> None:
    raw = search({"optimizer.lr": two(0.01, 0.02)}, seeds=list(range(20)))
    with pytest.raises(SpecInvalid) as caught:
        rerun_with(raw, next(choices(raw)), seeds=[30, *range(12)])
    (fault,) = caught.value.errors
    assert (fault.field, fault.value) == ("seeds", "0, 1, 2, 3, 4 and 7 more")
    assert "must be none of the search's own seeds" in fault.detail


def test_a_name_is_made_of_the_searchs() -> None:
    assert own_name("lr") == "lr (best)"
    assert len(own_name("x" * 80)) == 80
