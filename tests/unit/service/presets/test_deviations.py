"""Tests of the deviations of an experiment from its preset."""

from typing import Any

from service.presets.catalogue import preset
from service.presets.deviations import deviations_from
from service.spec import parse

PRESET = preset("fig4a-time-scalability-mini")


def places(**changes: Any) -> dict[str, list[str]]:
    spec = parse(PRESET.with_changes(changes))
    return {arm: [each.place for each in differences] for arm, differences in deviations_from(PRESET, spec).items()}


def test_the_preset_itself_deviates_in_nothing() -> None:
    assert places() == {}


def test_words_for_people_and_the_handling_by_the_service_are_no_deviations() -> None:
    assert places(name="mine", description="x", labels={"a": "b"}, priority=3, retention={"delete_after_days": 3}) == {}


def test_each_deviation_is_named_once_where_it_belongs() -> None:
    assert places(seeds=[0, 1, 2], resources={"cpus_per_trial": 2}, deterministic=False) == {
        "": ["seeds", "resources.cpus_per_trial", "deterministic"]
    }
    two = ["stages[0].batch_size", "stages[1].batch_size"]
    trained_once = [arm["name"] for arm in PRESET.spec["arms"] if len(arm["stages"]) == 2]
    assert places(batch_size=64) == {arm: ["batch_size"] for arm in trained_once} | {"TIT 2→4": two, "TIT 2→6": two}


def test_other_arms_and_other_analyses_are_deviations() -> None:
    first = dict(PRESET.spec["arms"][2])  # the baseline
    changed = {**first, "stages": [first["stages"][0], {"kind": "time_sweep", "T": [4]}]}
    found = deviations_from(PRESET, parse(PRESET.with_changes({"arms": [changed, {**first, "name": "mine"}]})))
    assert [each.place for each in found[""]] == ["arms"]
    assert found[""][0].value == "TET T=4, mine"
    (analysis,) = found["TET T=4"]
    assert (analysis.place, "[4]" in analysis.value) == ("analyses", True)
