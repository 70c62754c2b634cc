"""Tables of experiments, chains and comparisons. Accuracies are fractions in the API, and percent here."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service.answers.chances import ChanceView, chance_in_a_word
from service.answers.comparisons import ArmResultView, ChoiceView, ComparisonView, FrontView, PairedDifferenceView
from service.answers.experiments import ExperimentSummary, ExperimentView
from service.answers.in_units import name_of_unit, written
from service.answers.resampled_words import resampled_in_words
from service.answers.rounding import digits_of, paired_means, percent, points
from service.answers.units import Unit
from service.cli.progress import ChainProgress, configuration_text
from service.pace import duration
from service.presets.catalogue import Published
from service.spec.blocks import Resources
from service.spec.search import ENERGY
from service.times import for_people

# The quantity that is compared by default.
TEST_ACCURACY = "test/accuracy"

COLOURS = {
    "succeeded": "green",
    "equal": "green",
    "failed": "red",
    "different": "red",
    "cancelled": "yellow",
    "stopped": "cyan",
    "running": "bold blue",
}


def coloured(state: str) -> Text:
    """Return the name of a state in its colour."""
    return Text(state, COLOURS.get(state, ""))


def experiment_table(rows: Sequence[ExperimentSummary]) -> Table:
    """Return a table with one line for each experiment."""
    table = Table("id", "name", "state", "stages", "created", box=box.SIMPLE_HEAD)
    for row in rows:
        done = f"{row.progress.stages_done}/{row.progress.stages_total}"
        table.add_row(row.id, escape(row.name), coloured(row.state), done, for_people(row.created_at))
    return table


def chain_table(experiment: ExperimentView) -> Table:
    """Return a table with one line for each chain, and the identifiers that logs and MLflow use."""
    table = Table("chain", "arm", "seed", "state", "stage", "epoch", "test acc. %", "weights", box=box.SIMPLE_HEAD)
    for chain in experiment.chains:
        at = ChainProgress.of(chain)
        hashes = [stage.weights_sha256 for stage in chain.stages]
        weights = next((sha[:12] for sha in reversed(hashes) if sha), "-")
        cells = (str(at.seed), coloured(at.state), at.stage, at.epoch, accuracy(at.accuracy, at.chance), weights)
        table.add_row(at.id, escape(at.arm), *cells)
    return table


def comparison_tables(compared: ComparisonView) -> list[Table]:
    """Return the tables of a comparison: one, or one for each T."""
    if compared.by_T:
        return [_arms_table(compared, at.arms, f"at T={at.T}") for at in compared.by_T]
    return [_arms_table(compared, compared.arms)]


def comparison_lines(compared: ComparisonView) -> list[str]:
    """Return the lines below the tables: the verdicts, what other test samples would change, and the other notes."""
    others = [note for note in compared.notes if note not in compared.verdicts]
    return [*compared.verdicts, *resampled_in_words(compared), *others]


def _arms_table(compared: ComparisonView, arms: Sequence[ArmResultView], where: str = "") -> Table:
    """Return a table of arms: mean and spread of the quantity, and the paired difference.

    It has as many digits as its differences need; see `service.answers.rounding`.
    """
    unit = compared.unit
    digits = digits_of(arms) if unit in (Unit.ACCURACY, Unit.SHARE) else 0
    title = " ".join(part for part in (_title(compared), where) if part)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("arm")
    others = {arm.versus_baseline.to for arm in arms if arm.versus_baseline is not None} - {compared.baseline}
    minus = "difference" if others else f"minus {escape(compared.baseline)}"
    for heading in ("n", "mean ± std", "training time", minus, "95 % interval", "pairs"):
        table.add_column(heading, justify="right")
    published = any(arm.published is not None for arm in arms)
    if published:
        table.add_column("published", justify="right")
        ours = "ours: at the last one" if compared.quantity == TEST_ACCURACY else "ours too"
        table.caption = f"published: {compared.source}, at the best test epoch; {ours}"
        table.caption_justify = "left"
    searched = any(arm.choice is not None for arm in arms)
    if searched:
        table.add_column("val. acc.", justify="right")
        table.add_column("configuration, chosen on validation")
    for arm in arms:
        cells = [*_measured_cells(arm, compared, digits), *_difference_cells(arm, arms, compared, digits)]
        cells += [_published_cell(arm.published)] if published else []
        table.add_row(*cells, *(_choice_cells(arm.choice) if searched else []))
    return table


def _title(compared: ComparisonView) -> str:
    name = "final test accuracy" if compared.quantity == TEST_ACCURACY else compared.quantity
    unit = name_of_unit(compared.unit)
    return f"{name}, {unit}" if unit else name


def _measured_cells(arm: ArmResultView, compared: ComparisonView, digits: int) -> list[str]:
    remark = chance_in_a_word(arm.chance)
    mean, std = (written(value, compared.unit, digits) for value in (arm.mean, arm.std))
    return [
        escape(arm.name) + (" (baseline)" if arm.name == compared.baseline else ""),
        _of_wanted(arm.n, arm.n_wanted),
        f"{mean} ± {std}" + (f" {remark}" if remark else ""),
        duration(arm.train_time_s),
    ]


def _difference_cells(
    arm: ArmResultView, arms: Sequence[ArmResultView], compared: ComparisonView, digits: int
) -> list[str]:
    versus = arm.versus_baseline
    if versus is None:
        return ["-", "-", "-"]
    pairs, to = _of_wanted(versus.n, arm.n_wanted), "" if versus.to == compared.baseline else f" to {escape(versus.to)}"
    means = paired_means(arm, arms)
    if means is None:
        return ["-", "-", pairs]
    if compared.unit not in (Unit.ACCURACY, Unit.SHARE):
        return [_signed(versus.difference, compared.unit) + to, _interval(versus, compared.unit), pairs]
    ends = means.shown_interval(digits)
    interval = "-" if ends is None else f"\\[{points(ends[0])}, {points(ends[1])}]"
    return [points(means.shown_difference(digits)) + to, interval, pairs]


def _signed(value: float | None, unit: Unit) -> str:
    text = written(value, unit)
    return text if value is None or value < 0 else f"+{text}"


def _interval(versus: PairedDifferenceView, unit: Unit) -> str:
    if versus.low is None or versus.high is None:
        return "-"
    return f"\\[{_signed(versus.low, unit)}, {_signed(versus.high, unit)}]"


def _of_wanted(n: int, n_wanted: int) -> str:
    return str(n) if n == n_wanted else f"{n} of {n_wanted}"


def _choice_cells(choice: ChoiceView | None) -> list[str]:
    if choice is None:
        return ["-", "-"]
    values = escape(configuration_text(choice.configuration or {})) or "-"
    return [percent(choice.val_accuracy), f"{values} (of {choice.num_configurations})"]


def _published_cell(published: Published | None) -> str:
    if published is None:
        return "-"
    return percent(published.mean) + (f" ± {percent(published.std)}" if published.std is not None else "")


def front_table(front: FrontView) -> Table:
    """Return the front of a search with two goals, from the cheapest configuration to the most accurate."""
    is_energy = front.goal == ENERGY
    table = Table(title=f"the front: {front.goal} against val/accuracy", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("arm", "configuration", "chains"):
        table.add_column(heading)
    for heading in ("µJ an image" if is_energy else "training time", "val. acc. %", "test acc. %"):
        table.add_column(heading, justify="right")
    for point in front.points:
        table.add_row(
            escape(point.arm),
            escape(configuration_text(point.configuration)),
            ", ".join(point.chains),
            f"{1e6 * point.cost:.4g}" if is_energy else duration(point.cost),
            percent(point.val_accuracy),
            accuracy(point.test_accuracy, point.chance),
        )
    return table


def preset_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return a table with one line for each preset."""
    table = Table("name", "reproduces", "arms", "trials", "needs", box=box.SIMPLE_HEAD)
    for row in rows:
        cells = (row["name"], row["reproduces"], str(len(row["arms"])), str(row["num_trials"]), escape(row["needs"]))
        table.add_row(*cells)
    return table


def resources_text(resources: Resources) -> str:
    """Return the resources of a trial in words."""
    kind = f" of an {resources.accelerator_type}" if resources.accelerator_type else ""
    each = f"{resources.cpus_per_trial} CPU(s), {resources.gpus_per_trial:g} GPU(s){kind}"
    return f"{resources.workers_per_trial} worker(s) a trial, each with {each}"


def accuracy(fraction: float | None, chance: ChanceView | None) -> str:
    """Return an accuracy in percent, with a remark if it is no better than chance."""
    remark = chance_in_a_word(chance)
    return percent(fraction) + (f" {remark}" if remark else "")
