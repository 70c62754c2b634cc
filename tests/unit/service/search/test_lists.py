"""Tests of searches over elements of lists: the stages they change, the list that they start from, and refusals."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.plan import plan
from service.search.configurations import infeasible
from service.search.places import UnknownPlaceError, with_values
from service.spec.experiment import parse
from service.spec.resolving import resolve_stage
from tests.unit.service.search.test_configurations import changed, counts, refused, searched
from tests.unit.service.spec.test_spec import spec, train
from tet_core.config import AdamConfig, Crop, Flip, Layers, TrainConfig

Raw = dict[str, Any]
PADDING = {"int_range": [1, 9]}
AUGMENTATION = [{"name": "crop", "padding": 2}, {"name": "flip"}]
NETWORK: Raw = {
    "name": "layers",
    "layers": [
        {"kind": "conv", "channels": 4},
        {"kind": "residual", "layers": [{"kind": "conv", "channels": 4}]},
        {"kind": "pool", "size": "global"},
    ],
}


def run_with(raw: Raw, values: Raw) -> list[list[TrainConfig]]:
    """Return the configurations of each arm's train stages with these values."""
    configured = changed(raw, values)
    arms = [
        [resolve_stage(configured, number, index, 0) for index in range(len(arm.stages))]
        for number, arm in enumerate(configured.arms)
    ]
    return [[stage for stage in stages if isinstance(stage, TrainConfig)] for stages in arms]


def test_an_element_of_a_list_is_searched_at_every_level() -> None:
    space = {
        "augmentation.1.p": {"range": [0.0, 1.0]},
        "arms.TET.augmentation.0.padding": PADDING,
        "arms.TIT.stages.1.augmentation.0.padding": PADDING,
    }
    raw = searched(space, augmentation=AUGMENTATION)
    experiment = parse(raw)
    assert infeasible(experiment) == []
    for chain in plan(experiment):
        values = dict(chain.hyperparameters)
        of_one_stage: Raw = {"SDT": [2], "TET": [values.get("arms.TET.augmentation.0.padding")]}
        paddings = of_one_stage.get(chain.arm, [2, values.get("arms.TIT.stages.1.augmentation.0.padding")])
        configs = [stage.config for stage in chain.stages if isinstance(stage.config, TrainConfig)]
        flip = Flip(p=values["augmentation.1.p"])
        assert [config.augmentation for config in configs] == [(Crop(padding=each), flip) for each in paddings]
        assert all(type(each) is int for each in paddings)


def test_a_list_that_the_spec_leaves_out_starts_as_that_of_the_data_set() -> None:
    raw = searched({"augmentation.1.p": {"range": [0.0, 1.0]}}, dataset={"name": "fashion_mnist"})
    assert counts(parse(raw)) == [4, 4, 4]
    stages = run_with(raw, {"arms.TET.augmentation.1.p": 0.25})
    assert [arm[0].augmentation[1] for arm in stages] == [Flip(), Flip(p=0.25), Flip()]
    assert {arm[0].augmentation[0] for arm in stages} == {Crop(padding=2)}


def test_a_list_in_a_block_starts_as_the_list_that_applies_there() -> None:
    raw = searched({"optimizer.betas.0": {"range": [0.5, 0.9]}}, optimizer={"name": "sgd", "lr": 0.3})
    raw["arms"][1]["optimizer"] = {"name": "adam", "lr": 0.02}
    raw["arms"][2]["optimizer"] = {"name": "adam", "betas": [0.6, 0.7]}
    raw["arms"][2]["stages"][1]["optimizer"] = {"name": "adam", "lr": 0.04}
    values = {"arms.TET.optimizer.betas.0": 0.8, "arms.TIT.stages.1.optimizer.betas.1": 0.5}
    stages = run_with(raw, values)
    assert stages[1][0].optimizer == AdamConfig(lr=0.02, betas=(0.8, 0.999))
    assert [each.optimizer for each in stages[2]] == [
        AdamConfig(betas=(0.6, 0.7)),
        AdamConfig(lr=0.04, betas=(0.6, 0.5)),
    ]
    assert run_with(spec(), {"optimizer.betas.0": 0.8})[0][0].optimizer == AdamConfig(betas=(0.8, 0.999))


def test_a_copied_list_has_the_values_that_are_searched_at_outer_levels() -> None:
    values = {"arms.TIT.stages.1.augmentation.1.p": 0.1, "arms.TIT.augmentation.1.p": 0.2, "augmentation.0.padding": 7}
    sdt, _, tit = run_with(spec(augmentation=AUGMENTATION), values)
    assert sdt[0].augmentation == (Crop(padding=7), Flip())
    assert [stage.augmentation for stage in tit] == [(Crop(padding=7), Flip(p=0.2)), (Crop(padding=7), Flip(p=0.1))]


def test_an_arm_with_its_own_list_keeps_it() -> None:
    arms = spec()["arms"]
    arms[0]["augmentation"] = AUGMENTATION
    assert counts(parse(searched({"augmentation.0.padding": PADDING}, arms=arms))) == [1, 4, 4]


def test_layers_of_a_network_and_layers_within_layers_are_searched() -> None:
    channels = {"int_range": [4, 8]}
    raw = searched({"model.layers.0.channels": channels, "model.layers.1.layers.0.channels": channels}, model=NETWORK)
    assert counts(parse(raw)) == [4, 4, 4]
    model = run_with(raw, {"model.layers.1.layers.0.channels": 6})[0][0].model
    assert isinstance(model, Layers)
    expected = copy.deepcopy(NETWORK)
    expected["layers"][1]["layers"][0]["channels"] = 6
    assert model == Layers.model_validate(expected)


def test_an_element_of_an_analysis_is_searched() -> None:
    arms = [{"name": "a", "stages": [train(), {"kind": "time_sweep", "T": {"first": 1, "last": 3}}]}]
    raw = searched({"arms.a.stages.1.T.2": {"int_range": [3, 9]}}, arms=arms, baseline="a")
    assert counts(parse(raw)) == [4]
    raw = searched({"arms.a.stages.1.T.3": {"int_range": [3, 9]}}, arms=arms, baseline="a")
    assert refused(raw)['search.space["arms.a.stages.1.T.3"]'].detail == "T has 3 elements, numbered 0 to 2"


def test_a_fork_keeps_its_layers_and_may_search_its_augmentation() -> None:
    start = {"experiment": "0" * 20}
    assert infeasible(parse(searched({"augmentation.0.padding": PADDING}, start=start))) == []
    by_field = refused(searched({"model.layers.0.channels": {"int_range": [4, 8]}}, model=NETWORK, start=start))
    assert "another experiment's checkpoints" in by_field['search.space["model.layers.0.channels"]'].detail


@pytest.mark.parametrize(
    ("place", "detail"),
    [
        ("augmentation.2.padding", "augmentation has 2 elements, numbered 0 and 1"),
        ("augmentation.-1.padding", "augmentation has 2 elements, numbered 0 and 1"),
        ("augmentation.01.padding", "augmentation has 2 elements, numbered 0 and 1"),
        ("augmentation.first.padding", "augmentation has 2 elements, numbered 0 and 1"),
        ("augmentation.flip.p", "augmentation has 2 elements, numbered 0 and 1; did you mean 1?"),
        ("augmentation.2", "augmentation has 2 elements, numbered 0 and 1"),
        ("augmentation.0.padding.x", "'padding' in 'augmentation.0.padding.x' is neither a block nor a list"),
        ("arms.SDT.augmentation.0.padding", "augmentation has no elements, since the list is empty"),
        ("arms.TET.augmentation.1.p", "augmentation has 1 element, numbered 0"),
        ("arms.TIT.stages.1.augmentation.3.p", "augmentation has 2 elements, numbered 0 and 1"),
        ("optimizer.betas.2", "optimizer.betas has 2 elements, numbered 0 and 1"),
        ("optimizer.beta.0", "'beta' in 'optimizer.beta.0' is neither a block nor a list; did you mean 'betas'?"),
        ("arms.TET.optimizer.betas.0", "'betas' in 'optimizer.betas.0' is neither a block nor a list"),
        ("batch_size.0", "batch_size is not a list or block, so it has no element 0"),
        ("model.layers.3.channels", "model.layers has 3 elements, numbered 0 to 2"),
        ("model.layers.1.layers.1.channels", "model.layers.1.layers has 1 element, numbered 0"),
        ("model.layers.pool.size", "model.layers has 3 elements, numbered 0 to 2; did you mean 2?"),
        ("model.layer.0.x", "'layer' in 'model.layer.0.x' is neither a block nor a list; did you mean 'layers'?"),
    ],
)
def test_a_missing_element_is_refused_and_the_existing_ones_are_named(place: str, detail: str) -> None:
    raw = searched({place: PADDING}, augmentation=AUGMENTATION, model=NETWORK)
    raw["arms"][0]["augmentation"] = []
    raw["arms"][1] |= {"augmentation": AUGMENTATION[:1], "optimizer": {"name": "sgd"}}
    by_field = refused(raw)
    assert {field: (fault.value, fault.detail) for field, fault in by_field.items()} == {
        f'search.space["{place}"]': (place, detail)
    }


def test_the_refusal_of_brackets_shows_how_to_write_an_element() -> None:
    by_field = refused(searched({"augmentation[0].padding": PADDING}))
    assert by_field['search.space["augmentation[0].padding"]'].detail.endswith(
        "by its number: 'augmentation.0.padding'"
    )


@pytest.mark.parametrize(
    ("place", "dimension", "value", "words"),
    [
        (
            "augmentation.0.padding",
            {"int_range": [-1, 4]},
            -1,
            "augmentation[0].padding: must be an integer at least 1",
        ),
        ("augmentation.0.padding", {"int_range": [1, 200]}, 200, "augmentation[0].padding: must be an integer at"),
        ("augmentation.0.paddin", PADDING, 1, "augmentation[0].paddin: unknown key; did you mean 'padding'?"),
        ("augmentation.0", PADDING, 1, "augmentation[0]: must be a mapping with 'name' one of 'crop', "),
        ("augmentation", PADDING, 1, "augmentation: must be a list"),
        ("optimizer.betas.1", {"range": [0.9, 1.0]}, 1.0, "optimizer.betas[1]: must be a finite number at least 0 and"),
        ("model.layers.1.layers.0.kernel", {"choice": [3, 4]}, 4, "model.layers[1].layers[0].kernel: must be one of"),
    ],
)
def test_a_value_that_the_spec_refuses_is_named_together_with_its_field(
    place: str, dimension: Raw, value: float, words: str
) -> None:
    by_field = refused(searched({place: dimension}, model=NETWORK))
    (fault,) = by_field.values()
    assert fault.field in (f'search.space["{place}"]', f"search.space.{place}")
    assert fault.value == value
    assert f"is refused in 'SDT': {words}" in fault.detail


def test_overlapping_places_in_a_list_are_refused() -> None:
    padding, search = {"choice": [1, 2]}, {"method": "grid", "num_configurations": None}
    space = {"augmentation.0.padding": padding, "arms.TET.stages.0.augmentation.0.padding": padding}
    raw = searched(space, search=search)
    assert "places overlap" in refused(raw)["search.space"].detail


def test_an_element_of_a_list_that_another_value_removes_is_refused() -> None:
    space = {"optimizer.betas.0": {"choice": [0.5, 0.9]}, "optimizer.name": {"choice": ["adam", "sgd"]}}
    for method in ({"method": "grid", "num_configurations": None}, {"method": "tpe", "num_configurations": 4}):
        detail = refused(searched(space, search=method))["search.space"].detail
        assert detail == "is refused in 'SDT': 'betas' in 'optimizer.betas.0' is neither a block nor a list"


STEPS = st.sampled_from([{"name": "crop"}, {"name": "crop", "padding": 3}])
LISTS = st.none() | st.lists(STEPS, max_size=3)
LEVELS = ("", "arms.a.", "arms.a.stages.1.")


@given(st.tuples(LISTS, LISTS, LISTS), st.sampled_from(range(3)), st.integers(0, 3))
def test_an_element_changes_at_its_level_and_below_and_everything_else_stays(
    written: tuple[list[Raw] | None, ...], at: int, number: int
) -> None:
    top, of_arm, of_stage = written
    arm = {"name": "a", "augmentation": of_arm, "stages": [train(), train(augmentation=of_stage)]}
    raw = spec(augmentation=top, arms=[arm, {"name": "b", "stages": [train()]}], baseline="a")
    before, place = run_with(raw, {}), f"{LEVELS[at]}augmentation.{number}.padding"
    # The length of the innermost list at the place's level or above it; the data set's own list has one step.
    count = next((len(each) for each in reversed(written[: at + 1]) if each is not None), 1)
    if number >= count:
        with pytest.raises(UnknownPlaceError, match="augmentation has "):
            with_values(raw, {place: 9}, ["a", "b"])
        return
    after = run_with(raw, {place: 9})
    concerned = [  # for each stage of the arms a and b: whether the change reaches it (no list is nearer to it)
        [(at == 0 and of_arm is None) or at == 1, all(each is None for each in written[at + 1 :])],
        [at == 0],
    ]
    for stages, others, is_concerned in zip(before, after, concerned, strict=True):
        for stage, other, here in zip(stages, others, is_concerned, strict=True):
            steps = list(stage.augmentation)
            if here:
                steps[number] = Crop(padding=9)
            assert other == stage.model_copy(update={"augmentation": tuple(steps)})


def test_a_range_of_real_numbers_over_integers_is_refused_with_the_range_to_write() -> None:
    (fault,) = refused(searched({"augmentation.0.padding": {"range": [1, 4]}}, model=NETWORK)).values()
    assert fault.detail.startswith("takes integers, and a range gives real numbers: write int_range: [1, 4], ")
