"""The files of the run "results" in MLflow that are made again as chains end. `final_files` has those of the end."""

import csv
import io

from service.answers.comparisons import ArmResultView, ComparisonView


def comparison_files(view: ComparisonView) -> dict[str, bytes]:
    """Return the files by name, made from what is known so far. They are made again as chains end.

    Args:
        view: The comparison of the test accuracies.
    """
    return {
        "comparison.json": view.model_dump_json(indent=1).encode(),
        "comparison.csv": _as_csv(view).encode(),
    }


def _as_csv(view: ComparisonView) -> str:
    """Return a table with a line for each arm and seed, for other programs; accuracies are fractions."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["arm", "seed", view.quantity, "compared_with", "difference"])
    for arm in view.arms:
        differences = _differences(arm)
        to = "" if arm.versus_baseline is None else arm.versus_baseline.to
        table.writerows([arm.name, each.seed, each.value, to, differences.get(each.seed, "")] for each in arm.values)
    return text.getvalue()


def _differences(arm: ArmResultView) -> dict[int, float]:
    return {} if arm.versus_baseline is None else {each.seed: each.value for each in arm.versus_baseline.differences}
