"""`tet pause`, `resume`, `cancel`, `retry`, `delete`, `verify`: what is asked of an experiment that exists."""

import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from service.cli import rendering
from service.cli.client import Client
from service.cli.options import Id, connected
from service.cli.output import out, say
from service.cli.progress import stage_name
from service.errors import TetError
from service.states import VerificationState

Json = dict[str, Any]

POLL_S = 1.0
Workers = Annotated[int | None, typer.Option(metavar="N", help="Workers a trial has from now on; else as before.")]
Cpus = Annotated[
    int | None, typer.Option(metavar="N", help="CPUs of each of them, as long as nothing has begun; else as before.")
]
Gpus = Annotated[float | None, typer.Option(metavar="N", help="GPUs of each of them; else as before.")]
_OPEN = (VerificationState.QUEUED, VerificationState.RUNNING)


class What(StrEnum):
    """What `tet delete` removes."""

    EVERYTHING = "everything"
    CHECKPOINTS = "checkpoints"


def pause(experiment_id: Id) -> None:
    """Ask that an experiment be paused: trials at work commit their epoch, and it waits until it is resumed."""
    with connected() as client:
        experiment = client.pause(experiment_id)
    say(f"{experiment['id']} is {experiment['state']}; it is being paused; go on with: tet resume {experiment['id']}")


def resume(experiment_id: Id, workers: Workers = None, cpus: Cpus = None, gpus: Gpus = None) -> None:
    """Put a paused experiment back into the queue; it goes on from its last epochs, with other resources if told so."""
    with connected() as client:
        experiment = client.resume(experiment_id, _resources(workers, cpus, gpus))
    say(f"{experiment['id']} is {experiment['state']}; it goes on when its turn has come")


def cancel(experiment_id: Id) -> None:
    """Ask that an experiment be ended; what it has reached so far is kept."""
    with connected() as client:
        experiment = client.cancel(experiment_id)
    say(f"{experiment['id']} is {experiment['state']}; it is being ended")


def retry(experiment_id: Id, workers: Workers = None, cpus: Cpus = None, gpus: Gpus = None) -> None:
    """Run again what failed or was cancelled, in a new generation; what has succeeded stays as it is."""
    with connected() as client:
        experiment = client.retry(experiment_id, _resources(workers, cpus, gpus))
    say(f"{experiment['id']} is {experiment['state']}, in generation {experiment['generation']}")


def _resources(workers: int | None, cpus: int | None, gpus: float | None) -> Json:
    """The keys of a spec's `resources` that were told."""
    told = {"workers_per_trial": workers, "cpus_per_trial": cpus, "gpus_per_trial": gpus}
    return {key: value for key, value in told.items() if value is not None}


def delete(
    experiment_id: Id,
    what: Annotated[What, typer.Option(help="All of it, or its checkpoints alone.")] = What.EVERYTHING,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove an experiment that has ended: files, rows, and its MLflow experiment; or its checkpoints alone."""
    with connected() as client:
        experiment = client.experiment(experiment_id)
        if not yes:
            typer.confirm(f"remove {what} of {experiment['name']!r} ({experiment_id})?", abort=True, err=True)
        client.delete(experiment_id, what)
    say(f"{what} of {experiment_id}: being removed")


def verify(
    experiment_id: Id,
    chain: Annotated[str | None, typer.Option(metavar="CHAIN", help="This chain's id; else every chain.")] = None,
    stage: Annotated[
        int | None, typer.Option(metavar="INDEX", help="This stage, from 0; else every one that has succeeded.")
    ] = None,
) -> None:
    """Replay stages from where they started, and compare every number and every bit; exits with 1 if one differs."""
    with connected() as client:
        experiment = client.experiment(experiment_id)
        wanted = _stages(experiment, chain, stage)
        if not wanted:
            raise TetError(f"experiment {experiment_id} has no such stage that has succeeded")
        asked = [(each, client.verify(experiment_id, each[0]["id"], each[1]["index"])) for each in wanted]
        failed = 0
        for (of_chain, of_stage), verification in asked:
            found = _ended(client, experiment_id, verification["number"])
            failed += found["state"] != VerificationState.EQUAL
            name = stage_name(of_chain, of_stage)
            out.print(f"{name}:", rendering.state(found["state"]), found["reason"], soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _stages(experiment: Json, chain: str | None, stage: int | None) -> list[tuple[Json, Json]]:
    return [
        (each, one)
        for each in experiment["chains"]
        for one in each["stages"]
        if one["state"] == "succeeded" and chain in (None, each["id"]) and stage in (None, one["index"])
    ]


def _ended(client: Client, experiment_id: str, number: int) -> Json:
    while True:
        found = client.verification(experiment_id, number)
        if found["state"] not in _OPEN:
            return found
        time.sleep(POLL_S)
