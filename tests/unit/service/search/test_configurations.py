"""What a search makes of a spec: which numbers concern which arm, what is refused, and the chains that come of it."""

from typing import Any

import pytest

from service.errors import FieldError
from service.plan import plan
from service.search.configurations import configured_arms, infeasible
from service.search.places import with_values
from service.spec.experiment import Experiment, parse, resolve_stage
from tests.unit.service.spec.test_spec import faults, spec, tet, train
from tet_core.config import SgdConfig, TetLoss, TrainConfig

LR = {"log_range": [1e-4, 1e-2]}


def searched(space: dict[str, Any], **changes: Any) -> dict[str, Any]:
    search = {"method": "random", "num_configurations": 4, "space": space, **changes.pop("search", {})}
    return spec(**{"validation": 0.1, "search": search, **changes})


def refused(raw: dict[str, Any]) -> dict[str, FieldError]:
    return {fault.field: fault for fault in infeasible(parse(raw))}


def counts(experiment: Experiment) -> list[int]:
    return [len(each) for each in configured_arms(experiment)]


def changed(raw: dict[str, Any], values: dict[str, Any]) -> Experiment:
    """The spec with other values, without its search."""
    document = parse(raw).model_dump(mode="json", exclude_unset=True, exclude={"search"})
    return parse(with_values(document, values, [arm["name"] for arm in raw["arms"]]))


def test_a_number_of_all_arms_is_tried_in_all_of_them_alike() -> None:
    experiment = parse(searched({"optimizer.lr": LR}))
    assert infeasible(experiment) == []
    first, *others = ([own.values for own in each] for each in configured_arms(experiment))
    assert len(first) == 4
    assert all(each == first for each in others)


def test_a_number_of_one_arm_leaves_the_others_as_they_are() -> None:
    assert counts(parse(searched({"arms.TET.loss.lamb": {"range": [0.01, 0.5]}}))) == [1, 4, 1]


def test_a_number_that_some_losses_have_concerns_these() -> None:
    assert counts(parse(searched({"loss.lamb": {"range": [0.01, 0.5]}}))) == [1, 4, 4]


def test_an_arm_that_sets_a_number_itself_keeps_it() -> None:
    arms = spec()["arms"]
    arms[0]["optimizer"] = {"name": "adam", "lr": 0.01}
    assert counts(parse(searched({"optimizer.lr": LR}, arms=arms))) == [1, 4, 4]


def test_values_arrive_where_they_belong() -> None:
    raw = searched({"optimizer.lr": LR, "T": {"int_range": [1, 3]}, "arms.TIT.stages.1.loss.lamb": LR})
    own = changed(raw, {"optimizer.lr": 0.005, "T": 3, "arms.TIT.stages.1.loss.lamb": 0.2})
    assert [stage.T for stage in own.arms[2].stages if stage.kind == "train"] == [3, 3]
    assert own.optimizer is not None
    assert own.optimizer.lr == 0.005
    losses = [stage.loss for stage in own.arms[2].stages if stage.kind == "train"]
    assert [loss.lamb for loss in losses if isinstance(loss, TetLoss)] == [0.05, 0.2]


def test_chains_are_seeds_times_configurations_and_know_theirs() -> None:
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
    assert [chain.seed for chain in chains] == ([3] * 3 + [4] * 3) * 4  # a configuration over its seeds, then the next


def test_without_a_search_all_is_as_ever() -> None:
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
def test_a_dimension_that_makes_no_sense_is_refused(space: dict[str, Any], field: str, words: str) -> None:
    found = faults(searched(space))
    assert list(found) == [field]
    assert words in found[field].detail


def test_a_search_needs_a_validation_set() -> None:
    found = faults(searched({"optimizer.lr": LR}, validation=0))
    assert list(found) == ["validation"]
    assert "never by the test set" in found["validation"].detail


@pytest.mark.parametrize(
    ("search", "field"),
    [
        ({"num_configurations": None}, "search.num_configurations"),
        ({"method": "grid", "num_configurations": 3}, "search.num_configurations"),
        ({"method": "anneal"}, "search.method"),
        ({"goal": ["test/accuracy"]}, "search.goal[0]"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(search: dict[str, Any], field: str) -> None:
    space = {"optimizer.lr": {"choice": [0.1, 0.2]}}
    assert list(faults(searched(space, search=search))) == [field]


def test_a_grid_needs_points_on_a_line() -> None:
    raw = searched({"optimizer.lr": LR}, search={"method": "grid", "num_configurations": None})
    assert list(faults(raw)) == ['search.space["optimizer.lr"].points']


def test_a_grid_of_ten_millions_is_refused() -> None:
    space = {place: {"range": [0.1, 0.9], "points": 215} for place in ("optimizer.lr", "loss.lamb", "surrogate.gamma")}
    found = refused(searched(space, search={"method": "grid", "num_configurations": None}))
    assert list(found) == ["search.space"]
    assert "must be at most 5,000" in found["search.space"].detail


def test_a_value_that_the_spec_refuses_at_one_end_is_named() -> None:
    found = refused(searched({"loss.lamb": {"range": [0.5, 1.5]}}))
    assert list(found) == ['search.space["loss.lamb"]']
    fault = found['search.space["loss.lamb"]']
    assert fault.value == 1.5
    assert "in 'TET': arms[1].stages[0].loss.lamb: must be a finite number at least 0 and at most 1" in fault.detail


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("optimiser.lr", "must begin with a setting (optimizer,"),
        ("arms.Tet.loss.lamb", "must name an arm after 'arms.': 'SDT', 'TET', 'TIT'"),
        ("arms.SDT.loss.lamb", "no stage there has a loss with 'lamb'"),
        ("arms.TIT.stages.2.T", "the arm's stages are 0 to 1"),
        ("arms.TIT.stages.1", "must be 'stages.NUMBER.'"),
        ("arms.TIT.stages.01.T", "must be 'stages.NUMBER.'"),
        ("model.head.x", "there is no block 'head'"),
        ("model.nrm.x", "there is no block 'nrm' at 'model.nrm.x', and no list; did you mean 'norm'?"),
        ("optimizer.rate", "is refused in 'SDT': optimizer.rate: unknown key"),
        ("seeds", "must begin with a setting"),
    ],
)
def test_a_place_that_is_not_there_is_refused(place: str, words: str) -> None:
    found = refused(searched({place: {"range": [0.1, 0.2]}}))
    assert len(found) == 1
    assert words in next(iter(found.values())).detail


def test_a_number_that_no_arm_looks_at_is_refused() -> None:
    arms = spec()["arms"]
    for arm in arms:
        arm["optimizer"] = {"name": "adam", "lr": 0.01}
    found = refused(searched({"optimizer.lr": LR}, arms=arms))
    assert "must make a difference" in found['search.space["optimizer.lr"]'].detail


def test_more_configurations_than_there_are_are_refused() -> None:
    found = refused(searched({"optimizer.lr": {"choice": [0.1, 0.2]}}))
    assert "must be at most 2, the number of different configurations" in found["search.num_configurations"].detail


def test_a_block_that_is_not_there_keeps_the_name_that_holds_there() -> None:
    raw = searched({"arms.TET.optimizer.lr": LR}, optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.5})
    config = resolve_stage(changed(raw, {"arms.TET.optimizer.lr": 0.02}), 1, 0, 0)
    assert isinstance(config, TrainConfig)
    assert config.optimizer == SgdConfig(lr=0.02, momentum=0.5)


def test_a_name_may_be_chosen() -> None:
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


def test_a_place_that_an_arm_searches_by_itself_is_its_own_and_the_others_go_by_that_of_all() -> None:
    experiment = parse(searched({"optimizer.lr": LR, "arms.TET.optimizer.lr": {"log_range": [0.1, 1.0]}}))
    assert infeasible(experiment) == []
    places = [{place for own in each for place in own.values or ()} for each in configured_arms(experiment)]
    assert places == [{"optimizer.lr"}, {"arms.TET.optimizer.lr"}, {"optimizer.lr"}]
    raw = searched({"optimizer.lr": LR, **{f"arms.{name}.optimizer.lr": LR for name in ("SDT", "TET", "TIT")}})
    assert "must make a difference" in refused(raw)['search.space["optimizer.lr"]'].detail


def test_places_that_overlap_are_refused() -> None:
    raw = searched({"T": {"int_range": [1, 9]}, "arms.TIT.stages.0.T": {"int_range": [1, 2]}})
    raw["arms"] = [raw["arms"][2] | {"stages": raw["arms"][2]["stages"][:1]}]
    raw |= {"baseline": "TIT", "search": raw["search"] | {"num_configurations": 10}}
    assert "places overlap" in refused(raw)["search.space"].detail


def test_a_combination_that_the_spec_refuses_is_named() -> None:
    space = {"neuron.tau": {"choice": [0.0, 0.5]}, "neuron.learnable_tau": {"choice": [False, True]}}
    found = refused(searched(space, search={"method": "grid", "num_configurations": None}))
    assert "strictly between 0 and 1 where learnable_tau is true" in found["search.space"].detail
    assert "learnable_tau" in str(found["search.space"].value)


def test_precision_is_settled_once_and_so_auto_is_no_choice() -> None:
    found = refused(searched({"precision": {"choice": ["auto", "float32"]}}, search={"num_configurations": 2}))
    assert "resolved once" in found["search.space.precision"].detail


def test_a_network_that_starts_at_a_checkpoint_keeps_its_shape() -> None:
    found = refused(searched({"model.width": {"int_range": [4, 8]}}, start={"experiment": "0" * 20}))
    assert "another's checkpoints" in found['search.space["model.width"]'].detail


def test_a_block_of_the_network_that_is_left_out_is_there() -> None:
    assert counts(parse(searched({"model.norm.alpha": {"range": [0.5, 1.0]}}))) == [4, 4, 4]


def test_a_place_is_that_of_the_longest_name_in_every_arm() -> None:
    arms = [{"name": "a", "stages": [train()]}, {"name": "a.stages.0", "stages": [train()]}]
    raw = searched({"arms.a.stages.0.T": {"int_range": [1, 9]}}, arms=arms, baseline="a")
    assert counts(parse(raw)) == [1, 4]


def test_a_space_that_would_take_for_ever_to_check_is_refused() -> None:
    arms = [{"name": str(number), "stages": [train()]} for number in range(100)]
    raw = searched({"batch_size": {"choice": list(range(1, 101))}}, arms=arms, baseline="0")
    assert "times 100 arms must be at most 5,000" in refused(raw)["search.space"].detail
