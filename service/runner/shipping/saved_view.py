"""The saved views of an experiment's page in MLflow: accuracy first, as means over the seeds with bands.

The first view has the chains, grouped by arm. The second one has the train stages, grouped by arm and stage. Only the
runs of stages have metrics of layers. A network has many of them, so they come last.

MLflow's pages read a saved view from a tag of the experiment. The form of its value is not documented: it belongs to
MLflow 3.17, and a test in a browser holds it. MLflow also accepts the state as plain JSON, not compressed.
"""

import json
from typing import Any

# The keys of the views. Another form of the state gets another key.
VIEW, STAGES_VIEW = "tet-arms", "tet-stages"
# The start of the tag with a view.
VIEW_TAG = "mlflow.sharedViewState."

# The charts of the views, by section. MLflow adds the other metrics to these sections and to new ones after them.
CHARTS = {
    "test": ("test/accuracy", "test/loss_sdt", "test/loss_tet", "test/loss"),
    "train": ("train/accuracy", "train/loss"),
}
# The columns of the table of runs beside the charts.
COLUMNS = (
    *("tags.`tet.arm`", "tags.`tet.seed`", "params.`T`"),
    *("metrics.`test/accuracy`", "metrics.`train_time_s`"),
)


def view_tags(created_ms: int, *, has_validation: bool) -> dict[str, str]:
    """Return the tags of the views.

    Args:
        created_ms: When the views were made, in ms since 1970, for the list of saved views.
        has_validation: Whether the runs have metrics of a validation set.
    """
    others = [*(["val"] if has_validation else []), "Model metrics"]
    chains = _state("tags.`tet.stage` IS NULL", ["tet.arm"], others)
    stages = _state("tags.`tet.kind` = 'train'", ["tet.arm", "tet.stage"], others)
    return {
        VIEW_TAG + VIEW: _named("Arms", created_ms, chains),
        VIEW_TAG + STAGES_VIEW: _named("Stages", created_ms, stages),
    }


def _named(name: str, created_ms: int, state: dict[str, Any]) -> str:
    text = json.dumps(state, separators=(",", ":"))
    return json.dumps({"name": name, "createdAt": created_ms, "updatedAt": created_ms, "state": text})


def _state(runs: str, groups: list[str], others: list[str]) -> dict[str, Any]:
    """Return the state of the page.

    Args:
        runs: The filter of the runs.
        groups: The tags by which runs are grouped.
        others: Sections after those with the charts; MLflow fills them.
    """
    by_tags = [{"mode": "tag", "groupByData": tag} for tag in groups]
    return {
        "searchFilter": runs,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": by_tags},
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "selectedColumns": list(COLUMNS),
        "isAccordionReordered": True,  # keep the order of the sections
        "compareRunSections": [
            {"uuid": section, "name": section, "display": True, "isReordered": False, "deleted": False, "columns": 2}
            for section in (*CHARTS, *others)
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
