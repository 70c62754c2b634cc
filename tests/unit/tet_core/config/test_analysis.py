"""Tests of the settings of analyses: accepted and refused values."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.unit.tet_core.stages import make_config
from tet_core.config import Analysis, AnalysisConfig, Energy, Landscape, TimeSweep

ANALYSIS: TypeAdapter[Analysis] = TypeAdapter(Analysis)


def test_a_range_of_steps_becomes_a_list() -> None:
    assert TimeSweep.model_validate({"T": {"first": 2, "last": 5}}).T == (2, 3, 4, 5)
    assert TimeSweep.model_validate({"T": [4, 1]}).T == (4, 1)
    assert Energy.model_validate({"T": {"first": 3, "last": 3}}).T == (3,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "time_sweep", "T": {"first": 3, "last": 2}}, "must be a range with 1 <= first <= last <= 1,000"),
        ({"kind": "time_sweep", "T": {"first": 0, "last": 2}}, "must be a range with 1 <= first"),
        ({"kind": "time_sweep", "T": {"first": 1, "last": 1001}}, "<= 1,000"),
        ({"kind": "time_sweep", "T": {"first": True, "last": 2}}, "a range with the keys first, last"),
        ({"kind": "time_sweep", "T": {"last": 2}}, "a range with the keys first, last"),
        ({"kind": "time_sweep", "T": {"first": 1, "last": 2, "step": 1}}, "a range with the keys first, last"),
        ({"kind": "time_sweep", "T": [2, 2]}, "must name each number of time steps once"),
        ({"kind": "time_sweep", "T": []}, "at least 1 item"),
        ({"kind": "landscape", "size": 4}, "must be odd, so that the grid has a centre"),
        ({"kind": "landscape", "size": 1}, "greater than or equal to 3"),
        ({"kind": "landscape", "extent": 0}, "greater than 0"),
        ({"kind": "energy", "table": "7nm"}, "'horowitz-2014-45nm'"),
        ({"kind": "energy", "num_samples": 0}, "greater than or equal to 1"),
    ],
)
def test_an_impossible_setting_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        ANALYSIS.validate_python(fields)


@pytest.mark.parametrize(
    ("analysis", "T", "rows"),
    [
        (TimeSweep(T=(1, 2, 3)), None, 3),
        (Landscape(size=5), 2, 5),
        (Energy(), 2, 1),
        (Energy(T=(1, 2)), None, 2),
    ],
)
def test_an_analysis_stage_has_an_epoch_for_each_row_and_a_T_unless_T_varies(
    analysis: Analysis, T: int | None, rows: int
) -> None:
    config = AnalysisConfig(train=make_config(), analysis=analysis)
    assert (config.T, config.epochs) == (T, rows)
    assert AnalysisConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_range_is_in_the_schema_together_with_the_list() -> None:
    options = TimeSweep.model_json_schema()["properties"]["T"]["anyOf"]
    assert {"$ref": "#/$defs/StepRange"} in options
