"""The points of a run in MLflow, with those of times apart: they differ from run to run."""

from collections import Counter

from mlflow import MlflowClient
from mlflow.entities import Run

# The endings of metrics that measure time. Their values are not compared.
TIMES = ("_s", "_per_s")
Point = tuple[str, int, float]  # key, step, value


def points_and_times(client: MlflowClient, run: Run) -> tuple[list[Point], Counter[tuple[str, int]]]:
    """Return the points of all metrics but times, sorted, and how many points each time metric has at each step."""
    series: list[Point] = []
    times: Counter[tuple[str, int]] = Counter()
    for key in run.data.metrics:
        for point in client.get_metric_history(run.info.run_id, key):
            if key.endswith(TIMES):
                times[key, point.step] += 1
            else:
                series.append((key, point.step, point.value))
    return sorted(series), times
