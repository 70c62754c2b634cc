"""Tests of the saved view. What a browser makes of it is tested in tests/browser."""

import json

from service.runner.shipping.described_experiment import MAX_EXPERIMENT_TAG
from service.runner.shipping.saved_view import view_tag


def test_a_view_shows_chains_by_arm_with_the_accuracy_first() -> None:
    tag = json.loads(view_tag(1_000))
    assert (tag["name"], tag["createdAt"], tag["updatedAt"]) == ("Arms", 1_000, 1_000)
    state = json.loads(tag["state"])
    assert state["searchFilter"] == "tags.`tet.stage` IS NULL"
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "tet.arm"}]
    assert state["compareRunCharts"][0]["metricKey"] == "test/accuracy"
    sections = {section["uuid"]: section["name"] for section in state["compareRunSections"]}
    assert all(sections[chart["metricSectionId"]] for chart in state["compareRunCharts"])


def test_a_view_fits_into_a_tag_and_is_the_same_each_time() -> None:
    assert len(view_tag(10**13)) < MAX_EXPERIMENT_TAG
    assert view_tag(5) == view_tag(5)
