"""The API's reports and figures: read from the database, made in a thread, a few at a time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, assert_never

from starlette.responses import Response

from service.answers.comparisons import ComparisonView
from service.answers.reports import (
    DeviationView,
    FactsView,
    FigureFormat,
    FigureLinkView,
    FlatnessView,
    ReportedArmView,
    ReportedChainView,
    ReportFormat,
    ReportView,
)
from service.api.context import Context
from service.api.experiments.comparing import comparison_view
from service.api.experiments.views import experiment_view
from service.curves import BEST_TEST, BEST_VAL, FIRING_RATE, GRID_LOSSES
from service.errors import NotFound
from service.figures.catalogue_of_figures import FigureName, draw, figures_of
from service.figures.figure_data import LANDSCAPE, FigureData
from service.figures.flatness import grid_of
from service.identity import own_version
from service.presets.catalogue import Preset, presets
from service.presets.deviations import deviations_from
from service.reports.html_page import html, security_headers
from service.reports.latex_tables import latex
from service.reports.long_csv import values_csv
from service.reports.markdown_text import markdown
from service.reports.words import arm_in_words, command_of, question_of, sha256_of, shown_spec
from service.results.counted import CountedChains, counted_chains, distinct_facts, figure_data, num_parameters
from service.results.quantities import TRAIN_TIME, quantities_of
from service.spec import Experiment, parse

# The quantities of a report besides the test accuracy, as far as the experiment has them.
REPORTED = (BEST_TEST, BEST_VAL, TRAIN_TIME, FIRING_RATE, "energy/uj_per_image", "time_sweep/accuracy")
# The largest number of chains whose weights are named.
MAX_CHAINS = 1_000


@dataclass(frozen=True)
class _Read:
    """What a report is made from."""

    compared: ComparisonView
    counted: CountedChains
    hashes: dict[str, tuple[str | None, str | None]]
    stored_spec: dict[str, Any]
    spec: Experiment
    data: FigureData


def report_response(context: Context, experiment_id: str, form: ReportFormat) -> Response:
    """Make the report of an experiment. This takes seconds.

    Raises:
        NotFound: There is no such experiment.
    """
    read = _read(context, experiment_id)
    report = _report(context, experiment_id, read)
    name = f"{_file_name(report.name)}-{experiment_id}.{form}"
    match form:
        case ReportFormat.HTML:
            return Response(html(report, read.data), media_type="text/html", headers=security_headers())
        case ReportFormat.MARKDOWN:
            return _attachment(markdown(report), "text/markdown", name)
        case ReportFormat.CSV:
            return _attachment(values_csv(report), "text/csv", name)
        case ReportFormat.LATEX:
            return _attachment(latex(report), "application/x-tex", name)
        case ReportFormat.JSON:
            return Response(report.model_dump_json(by_alias=True), media_type="application/json")
        case _:
            assert_never(form)


def figure_response(context: Context, experiment_id: str, name: FigureName, form: FigureFormat) -> Response:
    """Draw a figure of an experiment.

    Raises:
        NotFound: There is no such experiment, or it has no data for this figure.
    """
    data = _read(context, experiment_id).data
    known = figures_of(data)
    if name not in known:
        listed = ", ".join(known) or "none yet"
        raise NotFound(f"experiment {experiment_id} has no figure {name.value!r}; its figures: {listed}")
    drawn = draw(name, data, png=form is FigureFormat.PNG)
    match form:
        case FigureFormat.PNG:
            return Response(drawn.png, media_type="image/png")
        case FigureFormat.SVG:
            from service.figures.inline_svg import inline_svg

            text = inline_svg(name, drawn.svg, drawn.words)
            return Response(text, media_type="image/svg+xml", headers=security_headers())
        case _:
            assert_never(form)


def _file_name(name: str) -> str:
    """Return the name of an experiment as part of a file's name: letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] or "report"


def _attachment(text: str, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'inline; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(text, media_type=f"{media_type}; charset=utf-8", headers=headers)


def _read(context: Context, experiment_id: str) -> _Read:
    compared = comparison_view(context, experiment_id)
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        counted = counted_chains(repository, experiment_id, compared)
        hashes = repository.outcomes.hashes(experiment_id)
    spec = parse(row.spec)
    return _Read(compared, counted, hashes, dict(row.spec), spec, figure_data(spec, compared, counted))


def _report(context: Context, experiment_id: str, read: _Read) -> ReportView:
    shown = experiment_view(context, experiment_id, limit=1)
    spec, stored = read.spec, shown_spec(read.stored_spec)
    preset = presets().get(shown.preset or "")
    known, parameters = quantities_of(spec), num_parameters(read.counted)
    further = [comparison_view(context, experiment_id, name) for name in REPORTED if name in known]
    return ReportView(
        **{key: getattr(shown, key) for key in _OF_EXPERIMENT},
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
        further=further,
        flatness=list(_flatness(read.data)),
        deviations=None if preset is None else _deviations(preset, spec),
        failures=shown.failures,
        environments=_facts(read.counted, "environment"),
        datasets=_facts(read.counted, "dataset"),
        chains=_chains(read),
        num_chains=shown.progress.chains_total or 0,
        version=own_version(),
        spec=stored,
        spec_sha256=sha256_of(stored),
        command=command_of(shown.preset),
        figures=[
            FigureLinkView(name=name, path=f"/experiments/{experiment_id}/figures/{name}")
            for name in figures_of(read.data)
        ],
    )


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


def _deviations(preset: Preset, spec: Experiment) -> list[DeviationView]:
    return [
        DeviationView(arm=arm or None, place=each.place, value=each.value, of_preset=each.of_preset)
        for arm, differences in deviations_from(preset, spec).items()
        for each in differences
    ]


def _facts(counted: CountedChains, key: str) -> list[FactsView]:
    return [FactsView(facts=dict(facts), num_stages=num) for facts, num in distinct_facts(counted, key)]


def _chains(read: _Read) -> list[ReportedChainView]:
    nothing = (None, None)
    return [
        ReportedChainView(
            id=chain.id,
            arm=chain.arm,
            seed=chain.seed,
            initial_sha256=read.hashes.get(chain.id, nothing)[0],
            weights_sha256=read.hashes.get(chain.id, nothing)[1],
        )
        for chain in read.counted.chains[:MAX_CHAINS]
    ]


def _flatness(data: FigureData) -> Iterator[FlatnessView]:
    for arm in data.arms:
        for loss in GRID_LOSSES:
            grids = [grid for each in data.last_of(LANDSCAPE, arm) if (grid := grid_of(each, loss)) is not None]
            if grids:
                rises = [rise for grid in grids if isfinite(rise := grid.mean_rise())]
                mean = sum(rises) / len(rises) if rises else None
                yield FlatnessView(arm=arm, loss=loss, mean_rise=mean, n=len(rises))
