"""The saved view of an experiment's page in MLflow: chains grouped by arm, accuracy first, as means with bands.

MLflow's pages read a saved view from a tag of the experiment. The form of its value is not documented: it belongs to
MLflow 3.17, and a test in a browser holds it. MLflow also accepts the state as plain JSON, not compressed.
"""

import json
from typing import Any

# The key of the view. Another form of the state gets another key.
VIEW = "tet-arms"
# The tag with the view.
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"

# The charts of the view, by section. MLflow adds the other metrics in further sections, after these.
CHARTS = {
    "test": ("test/accuracy", "test/loss_sdt", "test/loss_tet", "test/loss"),
    "train": ("train/accuracy", "train/loss"),
}
# The columns of the table of runs beside the charts.
COLUMNS = (
    *("tags.`tet.arm`", "tags.`tet.seed`", "params.`T`"),
    *("metrics.`test/accuracy`", "metrics.`train_time_s`"),
)


def view_tag(created_ms: int) -> str:
    """Return the value of the view's tag.

    Args:
        created_ms: When the view was made, in ms since 1970, for the list of saved views.
    """
    state = json.dumps(_state(), separators=(",", ":"))
    return json.dumps({"name": "Arms", "createdAt": created_ms, "updatedAt": created_ms, "state": state})


def _state() -> dict[str, Any]:
    return {
        "searchFilter": "tags.`tet.stage` IS NULL",  # the runs of chains
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "tet.arm"}]},
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "selectedColumns": list(COLUMNS),
        "isAccordionReordered": True,  # keep the order of the sections
        "compareRunSections": [
            {"uuid": section, "name": section, "display": True, "isReordered": False, "deleted": False, "columns": 2}
            for section in CHARTS
        ],
        "compareRunCharts": [_chart(section, key) for section, keys in CHARTS.items() for key in keys],
    }


def _chart(section: str, key: str) -> dict[str, Any]:
    """Return a chart of a metric over the epochs; a group's chart is the mean of its runs, with a band."""
    return {
        "type": "LINE",
        "uuid": key,
        "metricSectionId": section,
        "metricKey": key,
        "displayName": key.partition("/")[2],
        "isGenerated": True,
        "deleted": False,
        "runsCountToCompare": 10,
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "xAxisScaleType": "linear",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "scaleType": "linear",
        "range": {},
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
