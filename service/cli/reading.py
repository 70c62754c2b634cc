"""`tet follow`, `list`, `show`, `compare`, `logs`, `presets`: what the API says of experiments, for people."""

import sys
import time
from typing import Annotated, Any

import typer

from service.cli import rendering
from service.cli.client import Client, Refused
from service.cli.failing import explained, failed_stages
from service.cli.options import AsJson, Id, connected
from service.cli.output import err, out, print_json, say
from service.cli.progress import searches
from service.cli.watch import follow as watch
from service.presets import catalogue
from service.settings import Settings

Json = dict[str, Any]

# How often somebody who follows a log asks for more where there was none.
LOG_POLL_S = 1.0


def follow(experiment_id: Id) -> None:
    """Watch an experiment until it ends; the exit status is 0 if it succeeds."""
    with connected() as client:
        follow_to_end(client, experiment_id)


def list_experiments(
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the experiments, newest first."""
    with connected() as client:
        rows = list(client.experiments(state=state))
    if as_json:
        print_json(rows)
    else:
        out.print(rendering.experiments(rows))


def show(experiment_id: Id, as_json: AsJson = False) -> None:
    """Show an experiment and its chains."""
    with connected() as client:
        experiment = client.experiment(experiment_id)
    if as_json:
        print_json(experiment)
        return
    out.print(experiment["name"], style="bold", markup=False)
    out.print("state  ", rendering.state(experiment["state"]), experiment.get("reason") or "", soft_wrap=True)
    for past in experiment["history"]:
        out.print(
            f"before  generation {past['generation']} {past['state']} {past['reason']}", soft_wrap=True, markup=False
        )
    for past in experiment["resources_history"]:
        out.print(
            f"before  {rendering.resources(past['resources'])}, until {past['until']}", soft_wrap=True, markup=False
        )
    if experiment["resources_history"]:
        out.print(f"now     {rendering.resources(experiment['resources'])}", soft_wrap=True, markup=False)
    if experiment["parents"]:
        out.print(f"from    {', '.join(experiment['parents'])}", markup=False)
    if experiment.get("rerun_of"):
        out.print(f"best of {experiment['rerun_of']}", markup=False)
    if experiment.get("failure"):
        for line in explained(experiment["failure"]):
            out.print(line, soft_wrap=True, markup=False)
    _print_links(experiment)
    for line in searches(experiment):
        out.print(line, markup=False, soft_wrap=True)
    out.print(rendering.chains(experiment))
    for chain in experiment["chains"]:
        if chain["reason"]:
            out.print(f"{chain['id']} {chain['state']} {chain['reason']}", style="cyan", markup=False, soft_wrap=True)
    for line in failed_stages(experiment):
        out.print(line, style="red", markup=False, soft_wrap=True)


def compare(experiment_id: Id, as_json: AsJson = False) -> None:
    """Compare an experiment's arms: accuracy, time, and the paired difference to the baseline."""
    with connected() as client:
        compared = client.comparison(experiment_id)
    if as_json:
        print_json(compared)
    else:
        _print_comparison(compared)


def logs(
    experiment_id: Id,
    chain: Annotated[str | None, typer.Option(metavar="CHAIN", help="A chain's id: the log of its trial.")] = None,
    stage: Annotated[int | None, typer.Option(metavar="INDEX", help="The chain's stage, from 0.")] = None,
    tail: Annotated[int | None, typer.Option(metavar="LINES", help="Only this many lines from the end.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the experiment has ended.")] = False,
) -> None:
    """Print what an experiment's driver printed, or one of its trials."""
    which: dict[str, str | int] = {
        key: value for key, value in (("chain", chain), ("stage", stage)) if value is not None
    }
    with connected() as client:
        text, cursor = client.logs(experiment_id, **which, **({} if tail is None else {"tail": tail}))
        _print_bytes(text)
        while follow:
            # Asked first: what an experiment that has ended has printed, it has printed by now.
            ended = client.experiment(experiment_id)["finished_at"] is not None
            text, following = client.logs(experiment_id, **which, cursor=cursor)
            _print_bytes(text)
            if ended and following == cursor:
                return
            if following == cursor:
                time.sleep(LOG_POLL_S)
            cursor = following


def _print_bytes(text: bytes) -> None:
    """As they are: a part may end in the middle of a character."""
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this one's file.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the presets: one for each table and figure of the paper, and a small twin of each."""
    if name is not None:
        print(catalogue.text(name), end="")
        return
    with connected() as client:
        rows = client.presets()
    if as_json:
        print_json(rows)
    else:
        out.print(rendering.presets(rows))


def follow_to_end(client: Client, experiment_id: str) -> None:
    """Watches, then prints the comparison and where to look; exits with 1 unless the experiment succeeded."""
    try:
        experiment = watch(client, experiment_id, out)
    except KeyboardInterrupt:
        say(f"\nthe experiment goes on; watch it: tet follow {experiment_id}; end it: tet cancel {experiment_id}")
        raise typer.Exit(130) from None
    for line in failed_stages(experiment):
        err.print(line, style="red", markup=False, soft_wrap=True)
    try:
        _print_comparison(client.comparison(experiment_id))
    except Refused as refusal:
        say(str(refusal))
    _print_links(experiment)
    if experiment["state"] != "succeeded":
        told = experiment["reason"] not in ("", experiment["state"])
        reason = f": {experiment['reason']}" if told else ""
        err.print(f"{experiment['state']}{reason}", style="bold red", markup=False)
        if experiment.get("failure"):
            say(f"what it means, and what to do: tet show {experiment_id}")
        raise typer.Exit(1)


def _print_comparison(compared: Json) -> None:
    out.print(rendering.comparison(compared))
    for arm in compared["arms"]:
        refused = (arm.get("versus_baseline") or {}).get("reason")
        if refused:
            out.print(f"{arm['name']} is not paired: {refused}", markup=False)
    if compared.get("front"):
        out.print(rendering.front(compared["front"]))


def _print_links(experiment: Json) -> None:
    links = experiment.get("links") or {}
    base = Settings.from_environment().api_url
    for name, url in (
        ("API", f"{base}/experiments/{experiment['id']}"),
        ("MLflow", links.get("mlflow")),
        ("Ray", links.get("ray")),
    ):
        out.print(f"{name:<8} {url or '-'}", markup=False, soft_wrap=True)
