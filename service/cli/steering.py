"""`tet pause`, `resume`, `cancel`, `retry`, `delete`, `verify`: commands that act on an existing experiment."""

import time
from enum import StrEnum
from typing import Annotated

import typer

from service.answers.chains import ChainView, StageView
from service.answers.experiments import ExperimentView, OutcomeView
from service.answers.verification import VerificationView
from service.cli import rendering
from service.cli.client import Client
from service.cli.failing import after_retry
from service.cli.forms import Json, as_model
from service.cli.options import Id, connected
from service.cli.output import out, say
from service.cli.progress import stage_name
from service.errors import TetError
from service.states import VerificationState, WorkState

# Seconds between two requests that ask whether a replay has ended.
POLL_S = 1.0
Workers = Annotated[int | None, typer.Option(metavar="N", help="Workers of a trial from now on; default: unchanged.")]
Cpus = Annotated[
    int | None, typer.Option(metavar="N", help="CPUs of each worker, if no stage has started; default: unchanged.")
]
Gpus = Annotated[float | None, typer.Option(metavar="N", help="GPUs of each worker; default: unchanged.")]
_OPEN = (VerificationState.QUEUED, VerificationState.RUNNING)


class What(StrEnum):
    """The parts of an experiment that `tet delete` can remove."""

    EVERYTHING = "everything"
    CHECKPOINTS = "checkpoints"


def pause(experiment_id: Id) -> None:
    """Pause an experiment: running trials commit their epoch, and the experiment waits until it is resumed."""
    with connected() as client:
        experiment = client.pause(experiment_id)
    say(f"{experiment['id']} is {experiment['state']}; it is being paused")
    say(f"continue with: tet resume {experiment['id']}")


def resume(experiment_id: Id, workers: Workers = None, cpus: Cpus = None, gpus: Gpus = None) -> None:
    """Put a paused experiment back into the queue; it continues from its last epochs, with new resources if given."""
    with connected() as client:
        experiment = client.resume(experiment_id, _resources(workers, cpus, gpus))
    say(f"{experiment['id']} is {experiment['state']}; it continues when its turn comes")


def cancel(experiment_id: Id) -> None:
    """Cancel an experiment; its committed epochs are kept."""
    with connected() as client:
        experiment = client.cancel(experiment_id)
    say(f"{experiment['id']} is {experiment['state']}; it is being cancelled")


def retry(experiment_id: Id, workers: Workers = None, cpus: Cpus = None, gpus: Gpus = None) -> None:
    """Run failed and cancelled stages again, in a new generation; stages that have succeeded are kept."""
    with connected() as client:
        experiment = client.retry(experiment_id, _resources(workers, cpus, gpus))
    say(f"{experiment['id']} is {experiment['state']}, in generation {experiment['generation']}")
    history = [as_model(OutcomeView, each) for each in experiment.get("history", ())]
    if not _resources(workers, cpus, gpus) and (warning := after_retry(history)) is not None:
        say(warning)


def _resources(workers: int | None, cpus: int | None, gpus: float | None) -> Json:
    """Return the keys of a spec's `resources` that were given."""
    given = {"workers_per_trial": workers, "cpus_per_trial": cpus, "gpus_per_trial": gpus}
    return {key: value for key, value in given.items() if value is not None}


def delete(
    experiment_id: Id,
    what: Annotated[What, typer.Option(help="Everything, or only the checkpoints.")] = What.EVERYTHING,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an experiment that has ended: its files, its rows and its MLflow experiment; or only its checkpoints."""
    with connected() as client:
        name = client.experiment(experiment_id, max_chains=0)["name"]
        if not yes:
            typer.confirm(f"remove {what} of {name!r} ({experiment_id})?", abort=True, err=True)
        client.delete(experiment_id, what)
    say(f"{what} of {experiment_id}: being removed")


def verify(
    experiment_id: Id,
    chain: Annotated[
        str | None, typer.Option(metavar="CHAIN", help="Only the chain with this id; default: all.")
    ] = None,
    stage: Annotated[
        int | None, typer.Option(metavar="INDEX", help="Only this stage, from 0; default: every succeeded stage.")
    ] = None,
) -> None:
    """Replay stages from their start, and compare all metrics and weights bit by bit; exit with 1 if any differs."""
    with connected() as client:
        experiment = as_model(ExperimentView, client.experiment(experiment_id))
        wanted = _succeeded_stages(experiment, chain, stage)
        if not wanted:
            raise TetError(f"experiment {experiment_id} has no succeeded stage of this chain and index")
        replays = [
            (stage_name(*each), as_model(VerificationView, client.verify(experiment_id, each[0].id, each[1].index)))
            for each in wanted
        ]
        num_unequal = 0
        for name, verification in replays:
            ended = _ended(client, experiment_id, verification.number)
            num_unequal += ended.state is not VerificationState.EQUAL
            out.print(f"{name}:", rendering.coloured(ended.state), ended.reason, markup=False, soft_wrap=True)
    if num_unequal:
        raise typer.Exit(1)


def _succeeded_stages(
    experiment: ExperimentView, chain: str | None, stage: int | None
) -> list[tuple[ChainView, StageView]]:
    return [
        (each, one)
        for each in experiment.chains
        for one in each.stages
        if one.state is WorkState.SUCCEEDED and chain in (None, each.id) and stage in (None, one.index)
    ]


def _ended(client: Client, experiment_id: str, number: int) -> VerificationView:
    """Wait until a replay has ended; return its result."""
    while True:
        replay = as_model(VerificationView, client.verification(experiment_id, number))
        if replay.state not in _OPEN:
            return replay
        time.sleep(POLL_S)
