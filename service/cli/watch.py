"""Watching an experiment until it ends: a live table on a terminal, plain lines anywhere else."""

import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.cli import rendering
from service.cli.client import Client, Unreachable
from service.cli.progress import (
    ChainProgress,
    Pace,
    Stop,
    Stops,
    counted,
    duration,
    ends_at,
    searches,
    stage_name,
)
from service.states import TERMINAL

Json = dict[str, Any]

POLL_S = 1.0
# An API that is started anew is away for some seconds; longer than this, and the watcher gives up (not the experiment).
PATIENCE_S = 60.0
PLAIN_INTERVAL_S = 5.0
# Chains that are looked at one by one: ten pages of them, some seconds each time. The whole is that of all.
MAX_CHAINS = 10_000
# Configurations, the last ones to stop, of which the whole reason is told: their rows are cut, and hidden first.
NUM_STOPS = 2
# What stands round the rows: two headings, how many are hidden, the whole, and some to spare.
LINES_ROUND_ROWS = 6
# Two arms, and the stops, in two lines each.
LINES_OF_SEARCHES = 4 + 2 * NUM_STOPS


def follow(client: Client, experiment_id: str, console: Console) -> Json:
    """Shows the experiment until it ends, and returns it as it ended."""
    if console.is_terminal:
        return _live(client, experiment_id, console)
    return _plain(client, experiment_id, console)


def _states(client: Client, experiment_id: str) -> Iterator[Json]:
    """The experiment, again and again until it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        began, rest_s = time.monotonic(), POLL_S
        try:
            experiment = client.experiment(experiment_id, max_chains=MAX_CHAINS)
        except Unreachable:
            if time.monotonic() > deadline:
                raise
        else:
            deadline = time.monotonic() + PATIENCE_S
            rest_s = max(POLL_S, time.monotonic() - began)  # an API that takes long has others to answer too
            yield experiment
            if experiment["state"] in TERMINAL:
                return
        time.sleep(rest_s)


def _live(client: Client, experiment_id: str, console: Console) -> Json:
    pace, stops = Pace(), Stops()
    experiment: Json = {}
    with Live(console=console, auto_refresh=False) as live:
        for experiment in _states(client, experiment_id):
            room = console.height - LINES_ROUND_ROWS - (LINES_OF_SEARCHES if experiment.get("search") else 0)
            live.update(picture(experiment, pace, stops, room), refresh=True)
    return experiment


def picture(experiment: Json, pace: Pace, stops: Stops, max_rows: int) -> Group:
    """The live table: a line for each chain, those at work first, and lines for the whole.

    Args:
        experiment: As the API tells it.
        pace: What is known of its speed from earlier calls.
        stops: What is known from earlier calls of what was stopped.
        max_rows: Chains to show; the others are counted.
    """
    rows = [ChainProgress.of(chain) for chain in experiment["chains"]]
    stops.see(rows)
    urgency = {"running": 0, "failed": 1, "waiting": 2}
    shown = (
        rows if len(rows) <= max_rows else sorted(rows, key=lambda row: urgency.get(row.state, 3))[: max(max_rows, 1)]
    )
    table = Table("arm", "seed", "state", "stage", "epoch", "test acc. %", "", "left", box=None, pad_edge=False)
    for row in shown:
        left = pace.left_s(row.id, row.work_done, row.work_total, running=row.state == "running")
        cells = (row.stage, row.epoch, rendering.percent(row.accuracy), _bar(row), "" if row.ended else duration(left))
        table.add_row(_in_a_line(row.arm), str(row.seed), rendering.state(row.state), *cells)
    hidden = experiment["progress"]["chains_total"] - len(shown)
    more = [Text(f"… and {hidden} more chains")] if hidden else []
    stopped = [_stop(stop) for stop in stops.newest(NUM_STOPS)]
    search = [Text(line) for line in searches(experiment)]
    return Group(_heading(experiment), table, *more, *stopped, *search, _whole(experiment, rows, pace))


def _bar(row: ChainProgress) -> ProgressBar | Text:
    """How far it is; where it was stopped, why, cut to the width that there is."""
    if row.ended and row.reason:
        return _in_a_line(row.reason)
    return ProgressBar(total=max(row.work_total, 1), completed=row.work_done, width=20)


def _stop(stop: Stop) -> Text:
    seeds = f"seed {stop.seeds[0]}" if len(stop.seeds) == 1 else f"{len(stop.seeds)} seeds"
    return Text.assemble(rendering.state("stopped"), f": {stop.arm}, {seeds}: {stop.reason}")


def _in_a_line(text: str) -> Text:
    """Cut to the width that there is: rows of several lines would push the last lines off the screen."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _heading(experiment: Json) -> Text:
    heading = Text.assemble((experiment["name"], "bold"), "  ", rendering.state(experiment["state"]))
    if experiment.get("reason"):
        heading.append(f"  {experiment['reason']}", "yellow")
    return heading


def _whole(experiment: Json, rows: list[ChainProgress], pace: Pace) -> Text:
    progress = experiment["progress"]
    text = f"{progress['stages_done']}/{progress['stages_total']} stages, {counted(experiment)}"
    # Those at work may be among the chains that are not read.
    unread = progress["chains_total"] > len(rows) and experiment["state"] == "running"
    running = unread or any(row.state == "running" for row in rows)
    left = pace.left_s("", progress["work_done"], progress["work_total"], running=running)
    if experiment.get("search"):  # what is left of it depends on what will be stopped: the service knows better
        end = ends_at(experiment)
        return Text(text + (f", {end}" if end is not None else ""))
    return Text(text + (f", {duration(left)} left" if left is not None else ""))


def _plain(client: Client, experiment_id: str, console: Console) -> Json:
    """A line for each change of a state, and now and then one on how far all of it is."""
    seen: dict[str, str] = {}
    reported, reported_work = time.monotonic(), 0
    experiment: Json = {}
    for experiment in _states(client, experiment_id):
        for key, line in _lines(experiment):
            if seen.get(key) != line:
                seen[key] = line
                console.print(line, markup=False)
        done = experiment["progress"]["work_done"]
        if done != reported_work and time.monotonic() - reported >= PLAIN_INTERVAL_S:
            reported, reported_work = time.monotonic(), done
            for line in (counted(experiment), *searches(experiment), *filter(None, [ends_at(experiment)])):
                console.print(line, markup=False, soft_wrap=True)
    return experiment


def _lines(experiment: Json) -> Iterator[tuple[str, str]]:
    reason = f" ({experiment['reason']})" if experiment.get("reason") else ""
    heading = "", f"experiment {experiment['id']} is {experiment['state']}{reason}"
    if experiment["state"] not in TERMINAL:
        yield heading
    for chain in experiment["chains"]:
        for stage in chain["stages"]:
            if stage["state"] == "waiting":
                continue
            accuracy = stage["metrics"].get("test/accuracy")
            ended = stage["state"] != "running" and accuracy is not None
            result = f": test accuracy {rendering.percent(accuracy)} %" if ended else ""
            if stage["state"] == "stopped":
                result = f": {chain['reason']}"
            yield f"{chain['id']}/{stage['index']}", f"{stage_name(chain, stage)} {stage['state']}{result}"
    unread = experiment["progress"]["chains_total"] - len(experiment["chains"])
    if unread > 0:
        yield "unread", f"… and {unread} more chains, of which no line is written"
    if experiment["state"] in TERMINAL:  # the end comes last
        yield heading
