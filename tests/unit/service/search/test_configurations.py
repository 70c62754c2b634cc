"""Tests of the configurations of a search: the arms that a place concerns, refusals, and the planned chains."""

from typing import Any

import pytest

from service.errors import FieldError
from service.plan import plan
from service.search.configurations import configured_arms, infeasible
from service.search.places import with_values
from service.spec.experiment import Experiment, parse
from service.spec.resolving import resolve_stage
from tests.unit.service.spec.test_spec import faults, spec, tet, train
from tet_core.config import SgdConfig, TetLoss, TrainConfig

LR = {"log_range": [1e-4, 1e-2]}


def searched(space: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a spec with a random search of four configurations over this space."""
    search = {"method": "random", "num_configurations": 4, "space": space, **changes.pop("search", {})}
    return spec(**{"validation": 0.1, "search": search, **changes})


def refused(raw: dict[str, Any]) -> dict[str, FieldError]:
    """Return the faults that keep the search from running, by field."""
    return {fault.field: fault for fault in infeasible(parse(raw))}


def counts(experiment: Experiment) -> list[int]:
    """Return the number of configurations of each arm."""
    return [len(each) for each in configured_arms(experiment)]


def changed(raw: dict[str, Any], values: dict[str, Any]) -> Experiment:
    """Return the spec without its search, with new values at these places."""
    document = parse(raw).model_dump(mode="json", exclude_unset=True, exclude={"search"})
    return parse(with_values(document, values, [arm["name"] for arm in raw["arms"]]))


def test_a_place_of_all_arms_has_the_same_values_in_each_of_them() -> None:
    experiment = parse(searched({"optimizer.lr": LR}))
    assert infeasible(experiment) == []
    first, *others = ([configured.values for configured in each] for each in configured_arms(experiment))
    assert len(first) == 4
    assert all(each == first for each in others)


def test_a_place_of_one_arm_does_not_concern_the_other_arms() -> None:
    assert counts(parse(searched({"arms.TET.loss.lamb": {"range": [0.01, 0.5]}}))) == [1, 4, 1]


def test_a_field_that_some_losses_have_concerns_only_their_arms() -> None:
    assert counts(parse(searched({"loss.lamb": {"range": [0.01, 0.5]}}))) == [1, 4, 4]


def test_an_arm_that_sets_a_field_itself_keeps_its_value() -> None:
    arms = spec()["arms"]
    arms[0]["optimizer"] = {"name": "adam", "lr": 0.01}
    assert counts(parse(searched({"optimizer.lr": LR}, arms=arms))) == [1, 4, 4]


def test_values_are_written_at_their_places() -> None:
    raw = searched({"optimizer.lr": LR, "T": {"int_range": [1, 3]}, "arms.TIT.stages.1.loss.lamb": LR})
    new = changed(raw, {"optimizer.lr": 0.005, "T": 3, "arms.TIT.stages.1.loss.lamb": 0.2})
    assert [stage.T for stage in new.arms[2].stages if stage.kind == "train"] == [3, 3]
    assert new.optimizer is not None
    assert new.optimizer.lr == 0.005
    losses = [stage.loss for stage in new.arms[2].stages if stage.kind == "train"]
    assert [loss.lamb for loss in losses if isinstance(loss, TetLoss)] == [0.05, 0.2]


def test_every_configuration_has_a_chain_for_each_seed_with_its_values() -> None:
    experiment = parse(searched({"optimizer.lr": LR, "loss.lamb": {"choice": [0.01, 0.1, 0.5]}}, seeds=[3, 4]))
    chains = plan(experiment)
    assert len(chains) == len({chain.id for chain in chains}) == 2 * 3 * 4
    for chain in chains:
        for stage in chain.stages:
            assert isinstance(stage.config, TrainConfig)
            assert stage.config.seed == chain.seed
            assert stage.config.optimizer.lr == chain.hyperparameters["optimizer.lr"]
            if isinstance(stage.config.loss, TetLoss):
                assert stage.config.loss.lamb == chain.hyperparameters["loss.lamb"]
    assert [chain.arm for chain in chains[:4]] == ["SDT", "TET", "TIT", "SDT"]
    assert [chain.seed for chain in chains] == (
        [3] * 3 + [4] * 3
    ) * 4  # all seeds of a configuration, then the next configuration


def test_without_a_search_chains_have_no_hyperparameters() -> None:
    assert [dict(chain.hyperparameters) for chain in plan(parse(spec()))] == [{}] * 9


def test_names_of_arms_may_hold_dots() -> None:
    arms = [{"name": "a", "stages": [train()]}, {"name": "a.b", "stages": [train(loss=tet())]}]
    raw = searched({"arms.a.b.loss.lamb": {"range": [0.0, 1.0]}}, arms=arms, baseline="a")
    assert counts(parse(raw)) == [1, 4]


@pytest.mark.parametrize(
    ("space", "field", "words"),
    [
        (
            {"optimizer.lr": {"range": [0.5, 0.1]}},
            'search.space["optimizer.lr"].range',
            "must have its first number below",
        ),
        (
            {"optimizer.lr": {"range": [0.1, 0.1]}},
            'search.space["optimizer.lr"].range',
            "must have its first number below",
        ),
        ({"optimizer.lr": {"log_range": [-1.0, 1.0]}}, 'search.space["optimizer.lr"].log_range[0]', "no logarithm"),
        ({"optimizer.lr": {"log_range": [0, 1]}}, 'search.space["optimizer.lr"].log_range[0]', "no logarithm"),
        ({"optimizer.lr": {}}, 'search.space["optimizer.lr"]', "exactly one of"),
        ({"optimizer.lr": {"range": [0.1, 0.2], **LR}}, 'search.space["optimizer.lr"]', "range and log_range"),
        (
            {"optimizer.lr": {"range": [0.1, 0.10000000000000002]}},
            'search.space["optimizer.lr"].range',
            "must be wider",
        ),
        ({"loss.phi": {"range": [-1e308, 1e308]}}, 'search.space["loss.phi"].range', "must be narrower"),
        ({"optimizer.lr": {"range": [0, 10**400]}}, 'search.space["optimizer.lr"].range[1]', "must be a finite number"),
        ({"T": {"int_range": [1, 10**400]}}, "search.space.T.int_range[1]", "must be an integer"),
        ({"optimizer.lr": {"choice": [0.1, float("nan")]}}, 'search.space["optimizer.lr"].choice[1]', "a number"),
        ({"optimizer.lr": {"choice": [0.1, 10**5000]}}, 'search.space["optimizer.lr"].choice[1]', "to 2^53"),
        (
            {"optimizer.name": {"choice": ["a" * 300, "b"]}},
            'search.space["optimizer.name"].choice[0]',
            "200 characters",
        ),
        ({"T": {"int_range": [1, 2**60]}}, "search.space.T.int_range[1]", "at most 9,007,199,254,740,992"),
        ({"optimizer.lr": {"choice": [0.1, 0.2, 0.1]}}, 'search.space["optimizer.lr"].choice[2]', "twice"),
        ({"optimizer.lr": {**LR, "points": 3}}, 'search.space["optimizer.lr"].points', "only a grid has points"),
        ({"optimizer.lr": {"log_range": [0.1]}}, 'search.space["optimizer.lr"].log_range[1]', "is required"),
        ({"T": {"int_range": [1, 2.5]}}, "search.space.T.int_range[1]", "must be an integer"),
    ],
)
def test_an_invalid_dimension_is_refused(space: dict[str, Any], field: str, words: str) -> None:
    by_field = faults(searched(space))
    assert list(by_field) == [field]
    assert words in by_field[field].detail


def test_a_search_needs_a_validation_set() -> None:
    by_field = faults(searched({"optimizer.lr": LR}, validation=0))
    assert list(by_field) == ["validation"]
    assert "never by the test set" in by_field["validation"].detail


@pytest.mark.parametrize(
    ("search", "field"),
    [
        ({"num_configurations": None}, "search.num_configurations"),
        ({"method": "grid", "num_configurations": 3}, "search.num_configurations"),
        ({"method": "anneal"}, "search.method"),
        ({"goal": ["test/accuracy"]}, "search.goal[0]"),
    ],
)
def test_an_invalid_search_is_refused(search: dict[str, Any], field: str) -> None:
    space = {"optimizer.lr": {"choice": [0.1, 0.2]}}
    assert list(faults(searched(space, search=search))) == [field]


def test_a_grid_needs_points_for_a_range() -> None:
    raw = searched({"optimizer.lr": LR}, search={"method": "grid", "num_configurations": None})
    assert list(faults(raw)) == ['search.space["optimizer.lr"].points']


def test_a_grid_of_ten_million_configurations_is_refused() -> None:
    space = {place: {"range": [0.1, 0.9], "points": 215} for place in ("optimizer.lr", "loss.lamb", "surrogate.gamma")}
    by_field = refused(searched(space, search={"method": "grid", "num_configurations": None}))
    assert list(by_field) == ["search.space"]
    assert "must be at most 5,000" in by_field["search.space"].detail


def test_the_end_of_a_range_that_the_spec_refuses_is_named() -> None:
    by_field = refused(searched({"loss.lamb": {"range": [0.5, 1.5]}}))
    assert list(by_field) == ['search.space["loss.lamb"]']
    fault = by_field['search.space["loss.lamb"]']
    assert fault.value == 1.5
    assert "in 'TET': arms[1].stages[0].loss.lamb: must be a finite number at least 0 and at most 1" in fault.detail


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("optimiser.lr", "must begin with a setting (optimizer,"),
        ("arms.Tet.loss.lamb", "must name an arm after 'arms.': 'SDT', 'TET', 'TIT'"),
        ("arms.SDT.loss.lamb", "no train stage there has a loss with the field 'lamb'"),
        ("arms.TIT.stages.2.T", "the arm's stages are numbered 0 to 1"),
        ("arms.TIT.stages.1", "must be 'stages.NUMBER.'"),
        ("arms.TIT.stages.01.T", "must be 'stages.NUMBER.'"),
        ("model.head.x", "'head' in 'model.head.x' is neither a block nor a list"),
        ("model.nrm.x", "'nrm' in 'model.nrm.x' is neither a block nor a list; did you mean 'norm'?"),
        ("optimizer.rate", "is refused in 'SDT': optimizer.rate: unknown key"),
        ("seeds", "must begin with a setting"),
    ],
)
def test_a_place_that_does_not_exist_is_refused(place: str, words: str) -> None:
    by_field = refused(searched({place: {"range": [0.1, 0.2]}}))
    assert len(by_field) == 1
    assert words in next(iter(by_field.values())).detail


def test_a_place_that_every_arm_overrides_is_refused() -> None:
    arms = spec()["arms"]
    for arm in arms:
        arm["optimizer"] = {"name": "adam", "lr": 0.01}
    by_field = refused(searched({"optimizer.lr": LR}, arms=arms))
    assert "must make a difference" in by_field['search.space["optimizer.lr"]'].detail


def test_more_configurations_than_the_space_has_are_refused() -> None:
    by_field = refused(searched({"optimizer.lr": {"choice": [0.1, 0.2]}}))
    assert "must be at most 2, the number of different configurations" in by_field["search.num_configurations"].detail


def test_a_block_that_an_arm_leaves_out_keeps_the_name_that_applies_there() -> None:
    raw = searched({"arms.TET.optimizer.lr": LR}, optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.5})
    config = resolve_stage(changed(raw, {"arms.TET.optimizer.lr": 0.02}), 1, 0, 0)
    assert isinstance(config, TrainConfig)
    assert config.optimizer == SgdConfig(lr=0.02, momentum=0.5)


def test_names_and_integers_may_be_searched() -> None:
    assert counts(parse(searched({"optimizer.name": {"choice": ["adam", "sgd"]}}, search={"num_configurations": 2})))
    assert infeasible(parse(searched({"batch_size": {"int_range": [16, 64]}}))) == []


def test_the_order_of_the_places_changes_nothing() -> None:
    space = {"arms.TET.optimizer.lr": {"choice": [0.01, 0.02]}, "optimizer.name": {"choice": ["adam", "sgd"]}}
    search = {"method": "grid", "num_configurations": None}
    plans = [
        {chain.id: chain.stages for chain in plan(parse(searched(dict(each), search=search)))}
        for each in (space.items(), reversed(space.items()))
    ]
    assert plans[0] == plans[1]
    for chain in plan(parse(searched(space, search=search))):
        for stage in chain.stages:
            assert isinstance(stage.config, TrainConfig)
            assert stage.config.optimizer.name == chain.hyperparameters["optimizer.name"]


def test_a_place_for_one_arm_replaces_the_same_place_for_all_arms_in_this_arm_alone() -> None:
    experiment = parse(searched({"optimizer.lr": LR, "arms.TET.optimizer.lr": {"log_range": [0.1, 1.0]}}))
    assert infeasible(experiment) == []
    arms = configured_arms(experiment)
    places = [{place for configured in each for place in configured.values or ()} for each in arms]
    assert places == [{"optimizer.lr"}, {"arms.TET.optimizer.lr"}, {"optimizer.lr"}]
    raw = searched({"optimizer.lr": LR, **{f"arms.{name}.optimizer.lr": LR for name in ("SDT", "TET", "TIT")}})
    assert "must make a difference" in refused(raw)['search.space["optimizer.lr"]'].detail


def test_overlapping_places_are_refused() -> None:
    raw = searched({"T": {"int_range": [1, 9]}, "arms.TIT.stages.0.T": {"int_range": [1, 2]}})
    raw["arms"] = [raw["arms"][2] | {"stages": raw["arms"][2]["stages"][:1]}]
    raw |= {"baseline": "TIT", "search": raw["search"] | {"num_configurations": 10}}
    assert "places overlap" in refused(raw)["search.space"].detail


def test_a_combination_that_the_spec_refuses_is_named() -> None:
    space = {"neuron.tau": {"choice": [0.0, 0.5]}, "neuron.learnable_tau": {"choice": [False, True]}}
    by_field = refused(searched(space, search={"method": "grid", "num_configurations": None}))
    assert "strictly between 0 and 1 if learnable_tau is true" in by_field["search.space"].detail
    assert "learnable_tau" in str(by_field["search.space"].value)


def test_the_precision_auto_cannot_be_searched() -> None:
    by_field = refused(searched({"precision": {"choice": ["auto", "float32"]}}, search={"num_configurations": 2}))
    assert "resolved once" in by_field["search.space.precision"].detail


def test_the_network_cannot_be_searched_if_chains_start_from_checkpoints() -> None:
    by_field = refused(searched({"model.width": {"int_range": [4, 8]}}, start={"experiment": "0" * 20}))
    assert "another experiment's checkpoints" in by_field['search.space["model.width"]'].detail


def test_a_block_of_the_network_that_the_spec_leaves_out_can_be_searched() -> None:
    assert counts(parse(searched({"model.norm.alpha": {"range": [0.5, 1.0]}}))) == [4, 4, 4]


def test_a_place_belongs_to_the_arm_with_the_longest_fitting_name() -> None:
    arms = [{"name": "a", "stages": [train()]}, {"name": "a.stages.0", "stages": [train()]}]
    raw = searched({"arms.a.stages.0.T": {"int_range": [1, 9]}}, arms=arms, baseline="a")
    assert counts(parse(raw)) == [1, 4]


def test_a_space_that_takes_too_long_to_check_is_refused() -> None:
    arms = [{"name": str(number), "stages": [train()]} for number in range(100)]
    raw = searched({"batch_size": {"choice": list(range(1, 101))}}, arms=arms, baseline="0")
    assert "times 100 arms must be at most 5,000" in refused(raw)["search.space"].detail
