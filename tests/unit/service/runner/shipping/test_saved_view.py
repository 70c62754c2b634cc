"""Tests of the saved views. `make test-browser` tests what a browser makes of them."""

import json

import pytest

from service.runner.shipping.note_text import MAX_EXPERIMENT_TAG
from service.runner.shipping.saved_view import STAGES_VIEW, VIEW, VIEW_TAG, view_tags


@pytest.mark.parametrize(
    ("view", "name", "runs", "groups"),
    [
        (VIEW, "Arms", "tags.`tet.stage` IS NULL", ["tet.arm"]),
        (STAGES_VIEW, "Stages", "tags.`tet.kind` = 'train'", ["tet.arm", "tet.stage"]),
    ],
)
def test_a_view_groups_its_runs_and_has_the_accuracy_first(view: str, name: str, runs: str, groups: list[str]) -> None:
    tag = json.loads(view_tags(1_000, has_validation=False)[VIEW_TAG + view])
    assert (tag["name"], tag["createdAt"], tag["updatedAt"]) == (name, 1_000, 1_000)
    state = json.loads(tag["state"])
    assert state["searchFilter"] == runs
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": group} for group in groups]
    assert state["compareRunCharts"][0]["metricKey"] == "test/accuracy"
    sections = {section["uuid"]: section["name"] for section in state["compareRunSections"]}
    assert all(sections[chart["metricSectionId"]] for chart in state["compareRunCharts"])


@pytest.mark.parametrize("has_validation", [False, True])
def test_only_a_validation_set_has_a_section_of_its_own(has_validation: bool) -> None:
    tag = json.loads(view_tags(1, has_validation=has_validation)[VIEW_TAG + VIEW])
    sections = [section["name"] for section in json.loads(tag["state"])["compareRunSections"]]
    assert sections == ["test", "train", *(["val"] if has_validation else []), "Model metrics"]


def test_views_fit_into_tags_and_are_the_same_each_time() -> None:
    views = view_tags(10**13, has_validation=True)
    assert all(len(value) < MAX_EXPERIMENT_TAG for value in views.values())
    assert view_tags(10**13, has_validation=True) == views
