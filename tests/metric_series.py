"""The points of a run in MLflow. Metrics that measure time are kept apart: their values differ from run to run."""

from collections import Counter

from mlflow import MlflowClient
from mlflow.entities import Run

# The endings of the names of metrics that measure time. Their values are not compared.
TIMES = ("_s", "_per_s")
Point = tuple[str, int, float]  # key, step, value


def points_and_times(client: MlflowClient, run: Run) -> tuple[list[Point], Counter[tuple[str, int]]]:
    """Return the points of all metrics that measure no time, sorted, and the number of points of the others by step."""
    series: list[Point] = []
    times: Counter[tuple[str, int]] = Counter()
    for key in run.data.metrics:
        for point in client.get_metric_history(run.info.run_id, key):
            if key.endswith(TIMES):
                times[key, point.step] += 1
            else:
                series.append((key, point.step, point.value))
    return sorted(series), times
