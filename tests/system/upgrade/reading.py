"""Functions that read an experiment's results and the API's answers about it."""

import re
from collections import Counter
from math import isclose

from mlflow import MlflowClient

from tests.metric_series import Point, points_and_times
from tests.system.upgrade.results import Results, Where
from tests.system.upgrade.stack import Json, Stack

# The metrics of a chain's run under both versions.
_OF_A_CHAIN = {
    "test/accuracy",
    "test/accuracy_best_test_epoch",
    "test/accuracy_best_val_epoch",
    "val/accuracy",
    "val/energy_j",
}


def take(stack: Stack, experiment_id: str) -> Results:
    """Return the results of an experiment that does not run now."""
    results = Results()
    view = stack.view(experiment_id)
    chains = {chain["id"]: f"{chain['arm']}, seed {chain['seed']}, chain {chain['id'][:6]}" for chain in view["chains"]}
    for chain in view["chains"]:
        for stage in chain["stages"]:
            where = _where(chains, chain["id"], stage["index"])
            results.states[where] = f"{stage['state']} at {stage['epoch']} of {stage['epochs']}"
            results.attempts[where] = stage["attempts"]
            if stage["weights_sha256"] is not None:
                results.hashes[where] = stage["weights_sha256"]
    succeeded = {chain["id"] for chain in view["chains"] if chain["state"] == "succeeded"}
    _from_mlflow(results, chains, succeeded, MlflowClient(stack.place.mlflow_url), experiment_id)
    return results


def _where(chains: dict[str, str], chain_id: str, index: int | str | None) -> Where:
    return chains[chain_id] + ("" if index is None else f", stage {index}")


def _from_mlflow(
    results: Results, chains: dict[str, str], succeeded: set[str], client: MlflowClient, experiment_id: str
) -> None:
    query = f"tags.`tet.experiment` = '{experiment_id}'"
    experiments = [each.experiment_id for each in client.search_experiments(filter_string=query)]
    for run in client.search_runs(experiments, max_results=1_000):
        tags = run.data.tags
        if "tet.chain" not in tags:  # the run with the files of the comparison
            continue
        where = _where(chains, tags["tet.chain"], tags.get("tet.stage"))
        results.runs.setdefault(where, []).append(run.info.run_id)
        points, times = points_and_times(client, run)
        if "tet.stage" not in tags:
            points, times = _at_the_end(points, times)
            if tags["tet.chain"] not in succeeded:  # only the curve of the new version has its accuracy
                points = [point for point in points if point[0] != "test/accuracy"]
        results.series.setdefault(where, []).extend(points)
        results.times.setdefault(where, Counter()).update(times)


def _at_the_end(points: list[Point], times: Counter[tuple[str, int]]) -> tuple[list[Point], Counter[tuple[str, int]]]:
    """Return the points at the end of a chain's run that both versions have: the new one has the chain's curve too."""
    last = max((step for _, step, _ in points), default=0)
    at_end = [point for point in points if point[1] == last and point[0] in _OF_A_CHAIN]
    return at_end, Counter({key: number for key, number in times.items() if key == ("train_time_s", last)})


def answers(stack: Stack, experiment_id: str) -> Json:
    """Return the API's view of an experiment, its comparison and, if it has ended, its events."""
    view = stack.view(experiment_id)
    if view["links"]["mlflow"]:  # the page has changed, and the experiment in MLflow must not
        view["links"]["mlflow"] = view["links"]["mlflow"].partition("/runs")[0]
    comparison = _in_the_older_form(stack.get(f"/experiments/{experiment_id}/comparison").json())
    all_answers: Json = {"experiment": view, "comparison": comparison}
    if view["finished_at"] is not None:  # otherwise the stream does not end
        stream = stack.get(f"/experiments/{experiment_id}/events").text
        # Times are marked by a Z instead of +00:00, on purpose.
        all_answers["events"] = re.sub(r'("at": "[^"]+)\+00:00"', r'\1Z"', stream).split("\r\n\r\n")
    return all_answers


def _in_the_older_form(comparison: Json) -> Json:
    """Return a comparison in the form that both versions have.

    On purpose, `values` carry their seeds, a difference without a pair has a reason, and equal differences have no
    interval instead of one without width.
    """
    for arm in comparison["arms"]:
        arm["values"] = [each["value"] if isinstance(each, dict) else each for each in arm["values"]]
        versus = arm["versus_baseline"]
        if versus is not None and versus["n"] == 0:
            del versus["reason"]
        if versus is not None and versus["low"] is not None and isclose(versus["low"], versus["high"], rel_tol=1e-9):
            versus["low"] = versus["high"] = None
    return comparison
