"""The tables of a report as text, from which a page, Markdown and LaTeX are made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from service.answers.comparisons import ArmResultView, ChoiceView, ComparisonView, PairedDifferenceView
from service.answers.in_units import name_of_difference, name_of_unit, written
from service.answers.reports import FactsView, FlatnessView, ReportView
from service.answers.rounding import digits_of, percent
from service.answers.units import Unit
from service.statistics.verdict import p_in_words
from service.text import printable_line

# Rows of a table beyond this number are left out: the CSV has all values.
MAX_ROWS = 100
# Columns of the table of a time sweep: more do not fit on a page.
MAX_STEPS = 10
# Different environments, or data, beside each other.
MAX_RECORDS = 4
NONE = "–"
_FIXED = (
    "p: two-sided paired t test; of all pairs: adjusted by Holm's procedure, which decides the verdict at 0.05. "
    "Interval: 95 % for each pair alone, Student's t."
)
_GROWING = (
    "Seeds were added until the arms were decided. p: the anytime p, which holds after every seed; of all pairs: "
    "adjusted by Bonferroni's procedure. Interval: the confidence sequence of all pairs together."
)
_BESIDE = (
    "p of sign flips: assumes no normal distribution. d_z: mean difference over its standard deviation. Detectable: "
    "the difference that the test would have found with a probability of 80 %."
)
_RESAMPLED = (
    "95 % intervals of a bootstrap. The interval of the table above says what other seeds would give on this very test "
    "set. Other samples: what would these networks give on other test samples of the same kind? Other seeds and "
    "samples: what would the methods give? Test set's share: how much of the variance between seeds is that of the "
    "finite test set; a larger one would remove it."
)
# Names for people; other quantities have the name that the API uses.
_NAMES = {
    "test/accuracy_best_test_epoch": "test accuracy at the best test epoch",
    "test/accuracy_best_val_epoch": "test accuracy at the best validation epoch",
    "train_time_s": "training time",
    "firing_rate": "firing rate",
    "energy/uj_per_image": "energy an image",
    "time_sweep/accuracy": "test accuracy",
}


@dataclass(frozen=True)
class TextTable:
    """A table. The first column names the row.

    Attributes:
        name: A short name, for addresses within a page.
        title: What the table shows, with units.
        columns: The headings.
        rows: The cells, row by row.
        words: The places of the columns that hold words and not numbers.
        note: What a reader must know.
        minor: The places of the columns that a narrow page leaves out.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset({0})
    note: str = ""
    minor: frozenset[int] = frozenset()

    def cut(self) -> "TextTable":
        """Return the table with printable text, and with its first rows only if there are too many."""
        rows = tuple(tuple(printable_line(cell) for cell in row) for row in self.rows[:MAX_ROWS])
        left_out = len(self.rows) - len(rows)
        more = f"{left_out:,} more rows are left out; the CSV has all values." if left_out else ""
        note = " ".join(part for part in (self.note, more) if part)
        return replace(self, rows=rows, note=note)

    def narrow(self) -> "TextTable":
        """Return the table without its minor columns."""
        kept = [place for place in range(len(self.columns)) if place not in self.minor]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in self.rows),
            words=frozenset(new for new, place in enumerate(kept) if place in self.words),
            minor=frozenset(),
        )


def result_tables(report: ReportView) -> list[TextTable]:
    """Return the tables of the results, those of a paper, from the arms and pairs to the flatness of landscapes."""
    return [table.cut() for table in _result_tables(report) if table.rows]


def _result_tables(report: ReportView) -> Iterator[TextTable]:
    yield arms_table(report.comparison)
    yield pairs_table(report.comparison, is_growing=isinstance(report.spec.get("seeds"), Mapping))
    yield resampled_table(report.comparison)
    yield _quantities_table(report.further)
    for compared in report.further:
        if compared.by_T:
            yield _sweep_table(compared)
    yield _flatness_table(report)


def arms_table(compared: ComparisonView) -> TextTable:
    """Return the arms with their means."""
    digits = _digits(compared.arms, compared.unit)
    has_published = any(arm.published is not None for arm in compared.arms)
    is_searched = any(arm.choice is not None for arm in compared.arms)
    columns = ["arm", "n", "mean ± std", "95 % interval of the mean", "training time, s"]
    columns += ["published"] if has_published else []
    columns += ["validation, %", "chosen configuration"] if is_searched else []
    rows = []
    for arm in compared.arms:
        row = [
            arm.name + (" (baseline)" if arm.name == compared.baseline else ""),
            _of_wanted(arm.n, arm.n_wanted),
            _mean(arm, compared.unit, digits),
            _interval(arm.low, arm.high, compared.unit, digits),
            written(arm.train_time_s, Unit.SECONDS).replace("-", NONE),
        ]
        if has_published:
            row.append(NONE if arm.published is None else _plus_minus(arm.published.mean, arm.published.std))
        row += _choice(arm.choice) if is_searched else []
        rows.append(tuple(row))
    note = f"Published: {compared.source}, at the best test epoch; ours: at the last one." if has_published else ""
    words = {0, len(columns) - 1} if is_searched else {0}
    return TextTable(
        "arms", "Test accuracy after the last epoch, %", tuple(columns), tuple(rows), frozenset(words), note
    )


def pairs_table(compared: ComparisonView, *, is_growing: bool) -> TextTable:
    """Return the pairs of arms with their tests.

    Args:
        compared: The comparison.
        is_growing: Whether seeds are added until the arms are decided.
    """
    digits = _digits(compared.arms, compared.unit)
    unit = name_of_difference(compared.unit)
    tests = ("p", "p of all pairs", "p of sign flips", "d_z", "detectable")
    columns = ("arm minus other arm", "n", "difference", "interval", *tests, "verdict")
    rows = tuple(_pair_row(arm, versus, compared.unit, digits) for arm, versus in compared.pairs())
    note = f"{_GROWING if is_growing else _FIXED} {_BESIDE}"
    return TextTable(
        "pairs", f"Paired differences in {unit}", columns, rows, frozenset({0, 9}), note, frozenset({4, 6, 8})
    )


def _pair_row(arm: str, versus: PairedDifferenceView, unit: Unit, digits: int) -> tuple[str, ...]:
    return (
        f"{arm} minus {versus.to}",
        str(versus.n),
        _signed(versus.difference, unit, digits),
        _interval(versus.low, versus.high, unit, digits, signed=True),
        _p(versus.p),
        _p(versus.p_holm),
        _p(versus.p_sign_flip),
        NONE if versus.d_z is None else f"{versus.d_z:.2f}".replace("-", "−"),
        written(versus.detectable, unit, digits) if versus.detectable is not None else NONE,
        versus.verdict.replace("_", " ") + (f": {versus.reason}" if versus.reason else ""),
    )


def resampled_table(compared: ComparisonView) -> TextTable:
    """Return what other test samples would change in the pairs of arms, as far as it is known."""
    digits = _digits(compared.arms, compared.unit)
    columns = ("arm minus other arm", "test samples", "other samples", "other seeds and samples", "test set's share")
    rows = tuple(
        (
            f"{arm} minus {versus.to}",
            f"{found.num_samples:,}",
            *(
                _interval(bounds.low, bounds.high, compared.unit, digits, signed=True)
                for bounds in (found.other_samples, found.other_seeds_and_samples)
            ),
            NONE if found.share_of_test_set is None else f"{found.share_of_test_set:.0%}",
        )
        for arm, versus in compared.pairs()
        if (found := versus.resampled) is not None
    )
    title = f"The same differences on other test samples, in {name_of_difference(compared.unit)}"
    return TextTable("resampled", title, columns, rows, note=_RESAMPLED)


def _quantities_table(further: Sequence[ComparisonView]) -> TextTable:
    """Return the means of the other quantities that have one value a chain."""
    shown = [compared for compared in further if not compared.by_T and any(arm.n for arm in compared.arms)]
    columns = ("arm", *(_with_unit(compared.quantity, compared.unit) for compared in shown))
    names = [arm.name for arm in shown[0].arms] if shown else []
    digits = [_digits(compared.arms, compared.unit) for compared in shown]
    rows = tuple(
        (name, *(_mean(each.arms[place], each.unit, d) for each, d in zip(shown, digits, strict=True)))
        for place, name in enumerate(names)
    )
    return TextTable("quantities", "Other quantities, mean ± std over the seeds", columns, rows)


def _sweep_table(compared: ComparisonView) -> TextTable:
    """Return the means of a quantity at each T of a time sweep."""
    last = len(compared.by_T) - 1
    num = min(len(compared.by_T), MAX_STEPS)
    kept = [compared.by_T[round(k * last / max(1, num - 1))] for k in range(num)]
    digits = max(_digits(at.arms, compared.unit) for at in kept)
    columns = ("arm", *(f"T={at.T}" for at in kept))
    rows = tuple(
        (arm.name, *(_mean(at.arms[place], compared.unit, digits) for at in kept))
        for place, arm in enumerate(kept[0].arms)
    )
    quantity = _with_unit(compared.quantity, compared.unit).capitalize()
    title = f"{quantity}, at other numbers of time steps: mean ± std over the seeds"
    note = f"{len(kept)} of {len(compared.by_T)} T are shown." if len(kept) < len(compared.by_T) else ""
    return TextTable("sweep", title, columns, rows, note=note)


def _flatness_table(report: ReportView) -> TextTable:
    arms = [*dict.fromkeys(each.arm for each in report.flatness)]
    losses = [*dict.fromkeys(each.loss for each in report.flatness)]
    of = {(each.arm, each.loss): each for each in report.flatness}
    columns = ("arm", *(f"rise of {loss.replace('loss_', 'L_').upper()}" for loss in losses))
    rows = tuple((arm, *(_rise(of.get((arm, loss))) for loss in losses)) for arm in arms)
    note = "Mean rise of the loss near the trained weights, over n seeds; less is flatter."
    return TextTable("flatness", "Flatness of the loss landscapes", columns, rows, note=note)


def _rise(flatness: FlatnessView | None) -> str:
    if flatness is None or flatness.mean_rise is None:
        return NONE
    return f"{flatness.mean_rise:.3g} (n={flatness.n})"


def background_tables(report: ReportView) -> list[TextTable]:
    """Return the tables about what the results rest on: arms, deviations, failures, environment, data, weights."""
    arms = [
        (arm.name, "; ".join(arm.stages), NONE if arm.num_parameters is None else f"{arm.num_parameters:,}")
        for arm in report.arms
    ]
    deviations = [(each.arm or "all", each.place, each.value, each.of_preset) for each in report.deviations or ()]
    failures = [
        (each.type, each.class_, f"{each.num_chains:,}", each.message, f"{each.advice} ({each.chain})")
        for each in report.failures
    ]
    chains = [
        (each.arm, str(each.seed), each.id, each.initial_sha256 or NONE, each.weights_sha256 or NONE)
        for each in report.chains
    ]
    every = frozenset(range(5))
    tables = (
        TextTable("stages", "The arms and their stages", ("arm", "stages", "parameters"), tuple(arms), every - {2}),
        TextTable(
            "deviations", "Deviations from the preset", ("arm", "place", "here", "preset"), tuple(deviations), every
        ),
        TextTable(
            "failures",
            "Failures",
            ("type", "whose", "chains", "message", "what to do (a chain)"),
            tuple(failures),
            every - {2},
        ),
        _facts_table("environment", "Environments", report.environments),
        _facts_table("dataset", "Data", report.datasets),
        TextTable(
            "weights",
            "Weights of the chains that count, SHA-256 (first 12 digits)",
            ("arm", "seed", "chain", "initial weights", "last weights"),
            tuple((a, s, c, i[:12], w[:12]) for a, s, c, i, w in chains),
            every - {1},
        ),
    )
    return [table.cut() for table in tables if table.rows]


def _facts_table(name: str, title: str, all_records: Sequence[FactsView]) -> TextTable:
    """Return a table with a row for each fact, and a column for each different record."""
    records = all_records[:MAX_RECORDS]
    keys = [*dict.fromkeys(key for each in records for key in each.facts)]
    columns = ("fact", *(f"{each.num_stages:,} stages" for each in records))
    rows = tuple((key.replace("_", " "), *(str(each.facts.get(key, NONE)) for each in records)) for key in keys)
    left_out = len(all_records) - len(records)
    note = f"{left_out:,} more are left out; the JSON has all." if left_out else ""
    return TextTable(name, title, columns, rows, frozenset(range(len(columns))), note)


# -- cells ----------------------------------------------------------------------------------------------------------


def _digits(arms: Sequence[ArmResultView], unit: Unit) -> int:
    return digits_of(arms) if arms and unit in (Unit.ACCURACY, Unit.SHARE) else 2


def _with_unit(quantity: str, unit: Unit) -> str:
    name, words = name_of_unit(unit), _NAMES.get(quantity, quantity)
    return f"{words}, {name}" if name else words


def _of_wanted(n: int, n_wanted: int) -> str:
    return str(n) if n == n_wanted else f"{n} of {n_wanted}"


def _mean(arm: ArmResultView, unit: Unit, digits: int) -> str:
    if arm.mean is None:
        return NONE
    std = "" if arm.std is None else f" ± {written(arm.std, unit, digits)}"
    return written(arm.mean, unit, digits) + std


def _plus_minus(mean: float, std: float | None) -> str:
    return percent(mean) + ("" if std is None else f" ± {percent(std)}")


def _signed(value: float | None, unit: Unit, digits: int) -> str:
    if value is None:
        return NONE
    text = written(value, unit, digits)
    return text.replace("-", "−") if value < 0 else f"+{text}"


def _interval(low: float | None, high: float | None, unit: Unit, digits: int, *, signed: bool = False) -> str:
    if low is None or high is None:
        return NONE
    ends = [_signed(end, unit, digits) if signed else written(end, unit, digits) for end in (low, high)]
    return f"[{ends[0]}, {ends[1]}]"


def _p(p: float | None) -> str:
    if p is None:
        return NONE
    return "≤ 0.001" if p <= 0.001 else p_in_words(p)


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _choice(choice: ChoiceView | None) -> list[str]:
    if choice is None or choice.configuration is None:
        return [NONE, NONE]
    values = ", ".join(f"{key} {_number(value)}" for key, value in choice.configuration.items()) or NONE
    accuracy = NONE if choice.val_accuracy is None else percent(choice.val_accuracy)
    return [accuracy, f"{values} (of {choice.num_configurations})"]
