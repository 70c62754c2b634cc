"""Tests of the presets and of their catalogue."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.errors import NotFound
from service.plan import plan
from service.presets import catalogue
from service.presets.catalogue import MINI, Preset, presets
from service.spec import parse
from tet_core.config import Training

ALL = list(presets())
MINIS = [name for name in ALL if name.endswith(MINI)]
FULL = [name for name in ALL if not name.endswith(MINI)]


# The number of trials of each table and figure: chains times stages, counted by hand from the paper.
NUM_TRIALS = {
    "table1-cifar100": (2 * 3 + 1) * 3,
    "table2-sigmoid": (2 * 3 + 1) * 3,
    "table3-cifar10": (1 + 2 + 2 + 1) * 3,
    "table3-cifar100": (1 + 2 + 2 + 1) * 3,
    "table3-imagenet-spiking-resnet34": 1,
    "table3-imagenet-sew-resnet34": 1,
    "table3-dvs-cifar10": 4 * 3,
    "fig2-landscape": 2 * 2,
    "fig3-switch": (1 + 2) * 3,
    "fig4a-time-scalability": (4 * 2 + 2 * 3) * 3,
    "fig4b-energy": (2 * 3 + 1) * 2 * 3,
}


def test_every_table_and_figure_has_a_preset_and_a_small_twin() -> None:
    assert sorted(FULL) == sorted(NUM_TRIALS)
    assert sorted(MINIS) == sorted(name + MINI for name in NUM_TRIALS)


@pytest.mark.parametrize("name", ALL)
def test_a_preset_is_a_valid_spec_with_the_expected_number_of_trials(name: str) -> None:
    preset = presets()[name]
    chains = plan(parse(preset.with_changes(None)))
    assert sum(len(chain.stages) for chain in chains) == preset.num_trials
    if name in NUM_TRIALS:
        assert preset.num_trials == NUM_TRIALS[name]


def test_a_preset_that_adds_seeds_until_its_arms_are_decided_counts_all_of_them() -> None:
    preset = presets()["table3-cifar10-mini"]
    until = {"at_most": 20, "until": "decided"}
    growing = preset.model_copy(update={"spec": {**preset.spec, "seeds": until}})
    assert growing.num_trials * len(preset.spec["seeds"]) == preset.num_trials * 20


@pytest.mark.parametrize("name", FULL)
def test_a_full_preset_gives_reasons_for_its_choices_and_asks_for_a_gpu(name: str) -> None:
    preset = presets()[name]
    assert preset.choices
    assert preset.spec["resources"]["gpus_per_trial"] == 1


@pytest.mark.parametrize("name", MINIS)
def test_a_small_preset_needs_no_data_and_no_gpu(name: str) -> None:
    preset = presets()[name]
    base = preset.spec["dataset"].get("base", preset.spec["dataset"])
    assert base["name"] == "digits"
    assert preset.needs.startswith("nothing")
    assert "resources" not in preset.spec


@pytest.mark.parametrize("name", ALL)
def test_published_results_belong_to_arms_and_have_a_source(name: str) -> None:
    preset = presets()[name]
    assert set(preset.published) <= {arm["name"] for arm in preset.spec["arms"]}
    assert bool(preset.published) == bool(preset.source)
    assert not (preset.mini and preset.published)


@pytest.mark.parametrize("name", ALL)
def test_a_choice_names_a_place_of_the_spec(name: str) -> None:
    preset = presets()[name]
    arms = preset.spec["arms"]
    places = set(Training.model_fields).union(preset.spec, *arms, *(stage for arm in arms for stage in arm["stages"]))
    for path in preset.choices:
        assert path.split(".")[0] in places, path


@pytest.mark.parametrize("name", MINIS)
def test_a_small_twin_has_the_same_arms(name: str) -> None:
    small, full = presets()[name], presets()[name.removesuffix(MINI)]
    assert small.reproduces == full.reproduces
    kinds = [
        [(arm["name"], [stage["kind"] for stage in arm["stages"]]) for arm in p.spec["arms"]] for p in (small, full)
    ]
    assert kinds[0] == kinds[1]


def test_changes_are_merged_by_block_and_lists_are_replaced() -> None:
    preset = presets()["fig3-switch-mini"]
    changed = preset.with_changes({"seeds": [5], "model": {"width": 4}})
    assert (changed["seeds"], changed["model"]) == ([5], {"name": "vggsnn", "width": 4})
    assert preset.spec["seeds"] == [0, 1]
    assert preset.with_changes(None) == preset.spec
    posted: object = preset.with_changes(["no mapping"])
    assert posted == ["no mapping"]


def test_the_refusal_of_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"there is no preset 'table9'; there are: .*fig3-switch-mini"):
        catalogue.preset("table9")


def test_the_text_of_a_preset_is_its_unchanged_file() -> None:
    assert catalogue.preset_text("fig3-switch-mini").startswith("title: Switching from SDT to TET, small\n")


def test_percent_in_the_file_is_read_as_a_fraction(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    head = "title: t\nreproduces: r\nneeds: n\nspec: {}\npublished:\n"
    file.write_text(head + "  TET: {mean: 74.11, std: 0.18, n: 3}\n")
    published = catalogue.read_preset(file).published["TET"]
    assert (published.mean, published.std, published.n) == (0.7411, 0.0018, 3)
    file.write_text(head + "  TET: {mean: 174.11}\n")
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        catalogue.read_preset(file)


def test_a_required_key_of_a_preset_cannot_be_left_out() -> None:
    with pytest.raises(ValidationError, match="reproduces"):
        Preset.model_validate({"name": "x", "title": "t", "needs": "n", "spec": {}})
