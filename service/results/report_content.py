"""The content of a report and of its figures, made from an experiment's rows: by the API and by a driver alike.

Nothing here depends on the time at which it is made, so the same rows give the same content.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from service.answers.comparisons import ComparisonView
from service.answers.experiments import Links
from service.answers.reports import (
    DeviationView,
    FactsView,
    FigureLinkView,
    FlatnessView,
    ReportedArmView,
    ReportedChainView,
    ReportView,
)
from service.curves import BEST_TEST, BEST_VAL, FIRING_RATE, GRID_LOSSES
from service.figures.catalogue_of_figures import figures_of
from service.figures.figure_data import LANDSCAPE, FigureData
from service.figures.flatness import grid_of
from service.identity import own_version
from service.presets.catalogue import Preset, preset_if_known
from service.presets.deviations import deviations_from
from service.reports.words import arm_in_words, command_of, question_of, sha256_of, shown_spec
from service.results.counted import CountedChains, counted_chains, distinct_facts, figure_data, num_parameters
from service.results.failure_groups import MAX_FAILURES, failure_group
from service.results.quantities import TRAIN_TIME, quantities_of
from service.results.quantity_answer import ComparedExperiment, quantity_answer, read_values
from service.results.result_rows import ResultRows
from service.spec import Experiment, parse
from service.states import ExperimentState

# The quantities of a report besides the test accuracy, as far as the experiment has them.
REPORTED = (BEST_TEST, BEST_VAL, TRAIN_TIME, FIRING_RATE, "energy/uj_per_image", "time_sweep/accuracy")
# The largest number of chains whose weights are named.
MAX_CHAINS = 1_000


@dataclass(frozen=True)
class ReportedExperiment:
    """What a report says of an experiment besides its chains: the fields of its answer, and its stored spec."""

    id: str
    name: str
    state: ExperimentState
    reason: str
    generation: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    preset: str | None
    links: Links
    spec: Mapping[str, Any]
    are_curves_filled: bool = True

    def compared(self) -> ComparedExperiment:
        """Return the part that a comparison needs."""
        return ComparedExperiment(parse(self.spec), self.preset, self.are_curves_filled)


@dataclass(frozen=True)
class ReportContent:
    """A report, and what its figures are drawn from."""

    report: ReportView
    figures: FigureData


@dataclass(frozen=True)
class _Read:
    """The answer, the chains that it rests on, and what figures show of them."""

    compared: ComparisonView
    num_chains: int
    counted: CountedChains
    figures: FigureData


def content_of_figures(rows: ResultRows, about: ComparedExperiment) -> FigureData:
    """Return what the figures of an experiment are drawn from."""
    return _read(rows, about).figures


def report_content(rows: ResultRows, about: ReportedExperiment) -> ReportContent:
    """Return the report of an experiment, and what its figures are drawn from. This takes a large part of a second.

    Args:
        rows: The experiment's rows.
        about: What the report says besides.
    """
    compared = about.compared()
    spec, read = compared.spec, _read(rows, compared)
    stored, preset = shown_spec(about.spec), preset_if_known(about.preset)
    known, parameters = quantities_of(spec), num_parameters(read.counted)
    report = ReportView(
        **{key: getattr(about, key) for key in _OF_EXPERIMENT},
        description=spec.description,
        labels=dict(spec.labels),
        reproduces=None if preset is None else preset.reproduces,
        question=question_of(spec, preset),
        verdicts=read.compared.verdicts,
        arms=[
            ReportedArmView(name=arm.name, num_parameters=parameters.get(arm.name), stages=arm_in_words(arm))
            for arm in spec.arms
        ],
        comparison=read.compared,
        further=[quantity_answer(read_values(rows, compared, name)) for name in REPORTED if name in known],
        flatness=list(_flatness(read.figures)),
        deviations=None if preset is None else _deviations(preset, spec),
        failures=[failure_group(each) for each in rows.failures(MAX_FAILURES)],
        environments=_facts(read.counted, "environment"),
        datasets=_facts(read.counted, "dataset"),
        chains=_chains(rows, read.counted),
        num_chains=read.num_chains,
        version=own_version(),
        spec=stored,
        spec_sha256=sha256_of(stored),
        command=command_of(about.preset),
        figures=[
            FigureLinkView(name=name, path=f"/experiments/{about.id}/figures/{name}")
            for name in figures_of(read.figures)
        ],
    )
    return ReportContent(report, read.figures)


# The fields that a report has in common with the experiment.
_OF_EXPERIMENT = (
    "id",
    "name",
    "state",
    "reason",
    "generation",
    "created_at",
    "started_at",
    "finished_at",
    "preset",
    "links",
)


def _read(rows: ResultRows, about: ComparedExperiment) -> _Read:
    values = read_values(rows, about)
    compared = quantity_answer(values)
    counted = counted_chains(rows, values.chains, compared)
    return _Read(compared, len(values.chains), counted, figure_data(about.spec, compared, counted))


def _deviations(preset: Preset, spec: Experiment) -> list[DeviationView]:
    return [
        DeviationView(arm=arm or None, place=each.place, value=each.value, of_preset=each.of_preset)
        for arm, differences in deviations_from(preset, spec).items()
        for each in differences
    ]


def _facts(counted: CountedChains, key: str) -> list[FactsView]:
    return [FactsView(facts=dict(facts), num_stages=num) for facts, num in distinct_facts(counted, key)]


def _chains(rows: ResultRows, counted: CountedChains) -> list[ReportedChainView]:
    hashes, nothing = rows.hashes(), (None, None)
    return [
        ReportedChainView(
            id=chain.id,
            arm=chain.arm,
            seed=chain.seed,
            initial_sha256=hashes.get(chain.id, nothing)[0],
            weights_sha256=hashes.get(chain.id, nothing)[1],
        )
        for chain in counted.chains[:MAX_CHAINS]
    ]


def _flatness(data: FigureData) -> Iterator[FlatnessView]:
    for arm in data.arms:
        for loss in GRID_LOSSES:
            grids = [grid for each in data.last_of(LANDSCAPE, arm) if (grid := grid_of(each, loss)) is not None]
            if grids:
                rises = [rise for grid in grids if isfinite(rise := grid.mean_rise())]
                mean = sum(rises) / len(rises) if rises else None
                yield FlatnessView(arm=arm, loss=loss, mean_rise=mean, n=len(rises))
