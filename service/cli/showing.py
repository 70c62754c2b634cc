"""`tet follow`, `list`, `show`, `compare`, `logs`, `presets`: answers of the API about experiments, for people."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from service.answers.comparisons import ComparisonView
from service.answers.experiments import ExperimentSummary, ExperimentView
from service.answers.reports import FigureFormat
from service.cli import rendering, report_files
from service.cli.client import Client, Refused
from service.cli.failing import explained, failed_stages
from service.cli.forms import as_model
from service.cli.options import AsJson, Id, connected
from service.cli.output import LogPrinter, err, fail, out, print_json, say
from service.cli.progress import at_chance, searches
from service.cli.watch import watch
from service.errors import TetError
from service.presets import catalogue
from service.settings import Settings
from service.states import TERMINAL, ExperimentState
from service.times import for_people

# Seconds that `tet logs --follow` waits after an empty answer before it asks again.
LOG_POLL_S = 1.0


def follow(
    experiment_id: Id,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="At the end, write the report and the figures into this folder."),
    ] = None,
) -> None:
    """Watch an experiment until it ends; the exit status is 0 if it succeeds."""
    folder = report_files.prepared(report)
    with connected() as client:
        follow_to_end(client, experiment_id, folder)


def list_experiments(
    state: Annotated[str | None, typer.Option(help="Only experiments in this state.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the experiments, newest first."""
    with connected() as client:
        rows = list(client.experiments(state=state))
    if as_json:
        print_json(rows)
    else:
        out.print(rendering.experiment_table([as_model(ExperimentSummary, row) for row in rows]))


def show(experiment_id: Id, as_json: AsJson = False) -> None:
    """Show an experiment and its chains."""
    with connected() as client:
        answer = client.experiment(experiment_id)
    if as_json:
        print_json(answer)
        return
    experiment = as_model(ExperimentView, answer)
    out.print(experiment.name, style="bold", markup=False)
    out.print("state  ", rendering.coloured(experiment.state), experiment.reason, markup=False, soft_wrap=True)
    for line in _past(experiment):
        out.print(line, soft_wrap=True, markup=False)
    for line in explained(experiment.failure) if experiment.failure is not None else ():
        out.print(line, soft_wrap=True, markup=False)
    _print_links(experiment)
    for line in searches(experiment):
        out.print(line, markup=False, soft_wrap=True)
    out.print(rendering.chain_table(experiment))
    for chain in experiment.chains:
        if chain.reason:
            out.print(f"{chain.id} {chain.state} {chain.reason}", style="cyan", markup=False, soft_wrap=True)
    for line in at_chance(experiment):
        out.print(line, style="yellow", markup=False, soft_wrap=True)
    for line in failed_stages(experiment):
        out.print(line, style="red", markup=False, soft_wrap=True)


def _past(experiment: ExperimentView) -> Iterator[str]:
    """Yield lines about earlier generations and resources, and about the experiments that this one started from."""
    for outcome in experiment.history:
        yield f"before  generation {outcome.generation} {outcome.state} {outcome.reason}"
    for earlier in experiment.resources_history:
        yield f"before  {rendering.resources_text(earlier.resources)}, until {for_people(earlier.until)}"
    if experiment.resources_history:
        yield f"now     {rendering.resources_text(experiment.resources)}"
    if experiment.parents:
        yield f"from    {', '.join(experiment.parents)}"
    if experiment.rerun_of:
        yield f"best of {experiment.rerun_of}"


def compare(
    experiment_id: Id,
    quantity: Annotated[
        str, typer.Option(metavar="NAME", help="What to compare, such as 'train_time_s' or 'time_sweep/accuracy'.")
    ] = rendering.TEST_ACCURACY,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="Compare every arm with this one, instead of the pairs of the spec."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare an experiment's arms: a quantity, time, and the paired differences."""
    with connected() as client:
        answer = client.comparison(experiment_id, quantity, baseline)
    if as_json:
        print_json(answer)
    else:
        _print_comparison(as_model(ComparisonView, answer))


def logs(
    experiment_id: Id,
    chain: Annotated[str | None, typer.Option(metavar="CHAIN", help="A chain's id, for the log of its trial.")] = None,
    stage: Annotated[int | None, typer.Option(metavar="INDEX", help="The chain's stage, from 0.")] = None,
    tail: Annotated[int | None, typer.Option(metavar="LINES", help="Only this many lines from the end.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until the experiment has ended.")] = False,
) -> None:
    """Print the log of an experiment's driver, or of one of its trials."""
    if stage is not None and chain is None:
        raise TetError(
            f"--stage {stage} needs --chain CHAIN too: each chain has its own stages (`tet show {experiment_id}` lists "
            "the chains). Without both, this prints the log of the driver"
        )
    which: dict[str, str | int] = {
        key: value for key, value in (("chain", chain), ("stage", stage)) if value is not None
    }
    printer = LogPrinter()
    with connected() as client:
        text, cursor = client.logs(experiment_id, **which, **({} if tail is None else {"tail": tail}))
        printer.print(text, last=not follow)
        while follow:
            # Ask for the state first: once the experiment has ended, its log is complete.
            ended = as_model(ExperimentView, client.experiment(experiment_id, max_chains=0)).state in TERMINAL
            text, following = client.logs(experiment_id, **which, cursor=cursor)
            printer.print(text, last=ended and following == cursor)
            if ended and following == cursor:
                return
            if following == cursor:
                time.sleep(LOG_POLL_S)
            cursor = following


def presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print the file of this preset.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the presets: one for each table and figure of the paper, and a small twin of each."""
    if name is not None:
        print(catalogue.preset_text(name), end="")
        return
    with connected() as client:
        rows = client.presets()
    if as_json:
        print_json(rows)
    else:
        out.print(rendering.preset_table(rows))


def follow_to_end(client: Client, experiment_id: str, report: Path | None) -> None:
    """Watch an experiment, then print the comparison and the links; exit with 1 unless it succeeded.

    Args:
        client: The connection to the API.
        experiment_id: The experiment's id.
        report: The folder for the report and the figures; None: they are not written.
    """
    try:
        experiment = watch(client, experiment_id, out)
    except KeyboardInterrupt:
        say(f"\nthe experiment continues; watch it: tet follow {experiment_id}; end it: tet cancel {experiment_id}")
        raise typer.Exit(130) from None
    for line in failed_stages(experiment):
        err.print(line, style="red", markup=False, soft_wrap=True)
    try:
        _print_comparison(as_model(ComparisonView, client.comparison(experiment_id)))
    except Refused as refusal:
        say(str(refusal))
    is_reported = report is None or _print_report(client, experiment_id, report)
    _print_links(experiment)
    if experiment.state is not ExperimentState.SUCCEEDED:
        reason = f": {experiment.reason}" if experiment.reason not in ("", experiment.state) else ""
        err.print(f"{experiment.state}{reason}", style="bold red", markup=False)
        if experiment.failure is not None:
            say(f"what it means, and what to do: tet show {experiment_id}")
    if experiment.state is not ExperimentState.SUCCEEDED or not is_reported:
        raise typer.Exit(1)


def _print_comparison(compared: ComparisonView) -> None:
    for table in rendering.comparison_tables(compared):
        out.print(table)
    for line in rendering.comparison_lines(compared):
        out.print(line, markup=False, soft_wrap=True)
    if compared.front is not None:
        out.print(rendering.front_table(compared.front))


def _print_report(client: Client, experiment_id: str, folder: Path) -> bool:
    """Write the report and print its files, or why it cannot be written; return whether it was written."""
    try:
        file, *figures = report_files.write_report(client, experiment_id, folder)
    except TetError as error:
        fail(str(error))
        return False
    out.print(f"Report   {file}", markup=False, soft_wrap=True)
    for figure in figures:
        if figure.suffix == f".{FigureFormat.SVG}":
            out.print(f"Figure   {figure}", markup=False, soft_wrap=True)
    return True


def _print_links(experiment: ExperimentView) -> None:
    base = Settings.from_environment().api_url
    gone = f"restarted since then, so it has no page of the job; the job's log: tet logs {experiment.id}"
    links = {
        "API": f"{base}/experiments/{experiment.id}",
        "MLflow": experiment.links.mlflow,
        "Ray": gone if experiment.links.is_ray_job_gone else experiment.links.ray,
    }
    for name, url in links.items():
        out.print(f"{name:<8} {url or '-'}", markup=False, soft_wrap=True)
