"""Tables of experiments, chains and comparisons. Accuracies are fractions in the API and percent here."""

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service.cli.progress import ChainProgress, configuration, duration

Json = dict[str, Any]

COLOURS = {
    "succeeded": "green",
    "equal": "green",
    "failed": "red",
    "different": "red",
    "cancelled": "yellow",
    "stopped": "cyan",
    "running": "bold blue",
}


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(name, COLOURS.get(name, ""))


def experiments(rows: list[Json]) -> Table:
    """One line for each experiment."""
    table = Table("id", "name", "state", "stages", "created", box=box.SIMPLE_HEAD)
    for row in rows:
        progress = row.get("progress") or {}
        done = f"{progress['stages_done']}/{progress['stages_total']}" if progress else "-"
        table.add_row(
            row["id"], escape(row["name"]), state(row["state"]), done, row["created_at"][:19].replace("T", " ")
        )
    return table


def chains(experiment: Json) -> Table:
    """One line for each chain, with the identifiers by which it is found elsewhere."""
    table = Table("chain", "arm", "seed", "state", "stage", "epoch", "test acc. %", "weights", box=box.SIMPLE_HEAD)
    for chain in experiment["chains"]:
        at = ChainProgress.of(chain)
        hashes = [stage.get("weights_sha256") for stage in chain["stages"]]
        weights = next((sha[:12] for sha in reversed(hashes) if sha), "-")
        cells = (str(at.seed), state(at.state), at.stage, at.epoch, percent(at.accuracy), weights)
        table.add_row(at.id, escape(at.arm), *cells)
    return table


def comparison(compared: Json) -> Table:
    """How the arms compare: mean and spread of the final test accuracy, and the paired difference to the baseline."""
    baseline = compared["baseline"]
    table = Table(title="final test accuracy, %", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("arm")
    for heading in ("n", "mean ± std", "training time", f"minus {escape(baseline)}", "95 % interval", "pairs"):
        table.add_column(heading, justify="right")
    published = any(arm.get("published") for arm in compared["arms"])
    if published:
        table.add_column("published", justify="right")
        table.caption = f"published: {compared['source']}; there it is the best test epoch, here the last one"
        table.caption_justify = "left"
    searched = any(arm.get("choice") for arm in compared["arms"])
    if searched:
        table.add_column("val. acc.", justify="right")
        table.add_column("configuration, chosen on validation")
    for arm in compared["arms"]:
        versus = arm.get("versus_baseline") or {}
        table.add_row(
            escape(arm["name"]) + (" (baseline)" if arm["name"] == baseline else ""),
            str(arm["n"]),
            f"{percent(arm['mean'])} ± {percent(arm['std'])}",
            duration(arm["train_time_s"]),
            points(versus.get("difference")),
            f"[{points(versus['low'])}, {points(versus['high'])}]".replace("[", "\\[")
            if versus.get("low") is not None
            else "-",
            str(versus["n"]) if versus else "-",
            *([_published(arm.get("published"))] if published else []),
            *(_choice(arm.get("choice") or {}) if searched else []),
        )
    return table


def front(found: Json) -> Table:
    """What is best where both goals count, from the cheapest to the most accurate."""
    unit = "µJ an image" if found["goal"] == "val/energy_j" else "training time"
    table = Table(title=f"the front: {found['goal']} against val/accuracy", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("arm", "configuration", "chains"):
        table.add_column(heading)
    for heading in (unit, "val. acc. %", "test acc. %"):
        table.add_column(heading, justify="right")
    for point in found["points"]:
        cost = f"{1e6 * point['cost']:.4g}" if found["goal"] == "val/energy_j" else duration(point["cost"])
        table.add_row(
            escape(point["arm"]),
            escape(configuration(point["configuration"])),
            ", ".join(point["chains"]),
            cost,
            percent(point["val_accuracy"]),
            percent(point["test_accuracy"]),
        )
    return table


def _choice(found: Json) -> tuple[str, str]:
    values = escape(configuration(found.get("configuration") or {})) or "-"
    return percent(found.get("val_accuracy")), f"{values} (of {found.get('num_configurations', 0)})"


def _published(found: Json | None) -> str:
    if found is None:
        return "-"
    return percent(found["mean"]) + (f" ± {percent(found['std'])}" if found["std"] is not None else "")


def presets(rows: list[Json]) -> Table:
    """One line for each preset."""
    table = Table("name", "reproduces", "arms", "trials", "needs", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(
            row["name"], row["reproduces"], str(len(row["arms"])), str(row["num_trials"]), escape(row["needs"])
        )
    return table


def resources(found: Json) -> str:
    """What a trial is given, in words."""
    kind = f" of an {found['accelerator_type']}" if found["accelerator_type"] else ""
    each = f"{found['cpus_per_trial']} CPU(s), {found['gpus_per_trial']:g} GPU(s){kind}"
    return f"{found['workers_per_trial']} worker(s) a trial, each with {each}"


def percent(fraction: float | None) -> str:
    """A fraction in percent."""
    return "-" if fraction is None else f"{100 * fraction:.2f}"


def points(difference: float | None) -> str:
    """A difference of fractions in percentage points, signed."""
    return "-" if difference is None else f"{100 * difference:+.2f}"
