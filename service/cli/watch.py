"""A view of an experiment until it ends: a live table on a terminal, plain lines anywhere else."""

import time
from collections.abc import Iterator, Sequence
from typing import assert_never

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.answers.chains import StageView
from service.answers.chances import chance_in_words
from service.answers.experiments import ExperimentView
from service.answers.rounding import percent
from service.cli import rendering
from service.cli.client import Client, Unreachable
from service.cli.failing import failed_alike
from service.cli.forms import as_model
from service.cli.progress import (
    ChainProgress,
    StoppedConfiguration,
    StoppedConfigurations,
    counted,
    ends_at,
    searches,
    stage_name,
)
from service.pace import Pace, duration
from service.states import TERMINAL, ExperimentState, WorkState

# Seconds between two requests.
POLL_S = 1.0
# Seconds without an answer after which the watcher gives up: an API needs time to restart. The experiment continues.
PATIENCE_S = 60.0
# Seconds between two lines about the progress of the experiment, without a terminal.
PLAIN_INTERVAL_S = 5.0
# Largest number of chains that are read: ten pages, which take some seconds. The totals cover all chains.
MAX_CHAINS = 10_000
# Number of the newest stopped configurations whose reasons are shown in full: a row of the table truncates its reason.
NUM_STOPS = 2
# Largest number of shared failures that are shown with their number of chains, the most frequent first.
NUM_ALIKE = 2
# Largest number of seeds that a line lists; it counts more than these.
MAX_SEEDS = 12
# Lines besides the rows: two headings, the number of hidden rows, the totals, and two to spare.
LINES_BESIDE_ROWS = 6
# A shared failure may take two lines.
LINES_OF_A_FAILURE = 2
# Two arms and the stopped configurations, two lines each.
LINES_OF_SEARCHES = 4 + 2 * NUM_STOPS


def watch(client: Client, experiment_id: str, console: Console) -> ExperimentView:
    """Show an experiment until it ends; return its last state."""
    if console.is_terminal:
        return _live(client, experiment_id, console)
    return _plain(client, experiment_id, console)


def _states(client: Client, experiment_id: str) -> Iterator[ExperimentView]:
    """Yield the experiment's current state until it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        start_time, wait_s = time.monotonic(), POLL_S
        try:
            experiment = as_model(ExperimentView, client.experiment(experiment_id, max_chains=MAX_CHAINS))
        except Unreachable:
            if time.monotonic() > deadline:
                raise
        else:
            deadline = time.monotonic() + PATIENCE_S
            wait_s = max(POLL_S, time.monotonic() - start_time)  # do not keep a slow API busy: it has other clients
            yield experiment
            if experiment.state in TERMINAL:
                return
        time.sleep(wait_s)


def _live(client: Client, experiment_id: str, console: Console) -> ExperimentView:
    pace, stops = Pace(), StoppedConfigurations()
    with Live(console=console, auto_refresh=False) as live:
        for experiment in _states(client, experiment_id):
            num_alike = len(failed_alike(experiment)[:NUM_ALIKE])
            lines = LINES_BESIDE_ROWS + LINES_OF_A_FAILURE * num_alike + (LINES_OF_SEARCHES if experiment.search else 0)
            max_rows = console.height - lines
            live.update(picture(experiment, pace, stops, max_rows), refresh=True)
    return experiment


def picture(experiment: ExperimentView, pace: Pace, stops: StoppedConfigurations, max_rows: int) -> Group:
    """Return the live table: a line for each chain, and lines about the whole experiment.

    Args:
        experiment: The experiment as the API returns it.
        pace: Its speed in earlier calls.
        stops: The configurations that were stopped in earlier calls.
        max_rows: Largest number of chains to show, running ones first; the others are only counted.
    """
    rows = [ChainProgress.of(chain) for chain in experiment.chains]
    stops.see(rows)
    shown = rows if len(rows) <= max_rows else sorted(rows, key=_urgency)[: max(max_rows, 1)]
    table = Table("arm", "seed", "state", "stage", "epoch", "test acc. %", "", "left", box=None, pad_edge=False)
    for row in shown:
        left = pace.left_s(row.id, row.work_done, row.work_total, running=row.state is WorkState.RUNNING)
        accuracy = rendering.accuracy(row.accuracy, row.chance)
        cells = (row.stage, row.epoch, accuracy, _bar(row), "" if row.ended else duration(left))
        table.add_row(_in_a_line(row.arm), str(row.seed), rendering.coloured(row.state), *cells)
    hidden = (experiment.progress.chains_total or 0) - len(shown)
    more = [Text(f"… and {hidden} more chains")] if hidden else []
    stopped = [_stop(stop) for stop in stops.newest(NUM_STOPS)]
    alike = [Text(line, "red") for line in failed_alike(experiment)[:NUM_ALIKE]]
    search = [Text(line) for line in searches(experiment)]
    return Group(_heading(experiment), table, *more, *stopped, *alike, *search, _whole(experiment, rows, pace))


def _urgency(row: ChainProgress) -> int:
    match row.state:
        case WorkState.RUNNING:
            return 0
        case WorkState.FAILED:
            return 1
        case WorkState.WAITING:
            return 2
        case WorkState.SUCCEEDED | WorkState.CANCELLED | WorkState.STOPPED:
            return 3
        case _:
            assert_never(row.state)


def _bar(row: ChainProgress) -> ProgressBar | Text:
    """Return a bar of a chain's progress, or why it was stopped, truncated to the width."""
    if row.state is WorkState.STOPPED:
        return _in_a_line(row.reason)
    return ProgressBar(total=max(row.work_total, 1), completed=row.work_done, width=20)


def _stop(stop: StoppedConfiguration) -> Text:
    return Text.assemble(rendering.coloured("stopped"), f": {stop.arm}, {_seeds(stop.seeds)}: {stop.reason}")


def _in_a_line(text: str) -> Text:
    """Return a text that is truncated to the width: rows of several lines would push the last lines off the screen."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _heading(experiment: ExperimentView) -> Text:
    heading = Text.assemble((experiment.name, "bold"), "  ", rendering.coloured(experiment.state))
    if experiment.reason:
        heading.append(f"  {experiment.reason}", "yellow")
    return heading


def _whole(experiment: ExperimentView, rows: list[ChainProgress], pace: Pace) -> Text:
    progress = experiment.progress
    text = f"{progress.stages_done}/{progress.stages_total} stages, {counted(experiment)}"
    # The running chains may be among those that are not read.
    unread = (progress.chains_total or 0) > len(rows) and experiment.state is ExperimentState.RUNNING
    running = unread or any(row.state is WorkState.RUNNING for row in rows)
    left = pace.left_s("", progress.work_done or 0, progress.work_total or 0, running=running)
    if experiment.search:  # the time left depends on what will be stopped: the service has the better estimate
        end = ends_at(experiment)
        return Text(text + (f", {end}" if end is not None else ""))
    return Text(text + (f", {duration(left)} left" if left is not None else ""))


def _plain(client: Client, experiment_id: str, console: Console) -> ExperimentView:
    """Print a line for each change of a state, and at intervals the progress of the experiment."""
    seen: dict[str, str] = {}
    reported, reported_work = time.monotonic(), 0
    for experiment in _states(client, experiment_id):
        for key, line in plain_lines(experiment):
            if seen.get(key) != line:
                seen[key] = line
                console.print(line, markup=False)
        done = experiment.progress.work_done or 0
        if done != reported_work and time.monotonic() - reported >= PLAIN_INTERVAL_S:
            reported, reported_work = time.monotonic(), done
            for line in (counted(experiment), *searches(experiment), *filter(None, [ends_at(experiment)])):
                console.print(line, markup=False, soft_wrap=True)
    return experiment


def plain_lines(experiment: ExperimentView) -> Iterator[tuple[str, str]]:
    """Yield lines about an experiment, each with a key: a line is printed if it differs from the last with its key."""
    reason = f" ({experiment.reason})" if experiment.reason else ""
    heading = "", f"experiment {experiment.id} is {experiment.state}{reason}"
    if experiment.state not in TERMINAL:
        yield heading
    for chain in experiment.chains:
        for stage in chain.stages:
            if stage.state not in (WorkState.WAITING, WorkState.STOPPED):
                line = f"{stage_name(chain, stage)} {stage.state}{_result(stage)}"
                yield f"{chain.id}/{stage.index}", line
    stops = StoppedConfigurations()
    stops.see(map(ChainProgress.of, experiment.chains))
    for stop in stops.all():
        yield f"{stop.arm}: {stop.reason}", f"{stop.arm}, {_seeds(stop.seeds)} stopped: {stop.reason}"
    for group in experiment.failures:
        if group.num_chains > 1:
            text = f"{group.type}: {group.message}"
            yield text, f"{group.num_chains} chains failed alike: {text}"
    unread = (experiment.progress.chains_total or 0) - len(experiment.chains)
    if unread > 0:
        yield "unread", f"… and {unread} more chains, which are not shown one by one"
    if experiment.state in TERMINAL:  # the end comes last
        yield heading


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) <= MAX_SEEDS:
        return f"seeds {', '.join(map(str, sorted(seeds)))}"
    return f"{len(seeds)} seeds from {min(seeds)} to {max(seeds)}"


def _result(stage: StageView) -> str:
    accuracy = stage.metrics.get("test/accuracy")
    if stage.state is WorkState.RUNNING or accuracy is None:
        return ""
    words = chance_in_words(stage.chance)
    return f": test accuracy {percent(accuracy)} %" + (f" {words}" if words else "")
