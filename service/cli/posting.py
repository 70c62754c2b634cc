"""`tet submit`, `validate`, `fork`, `rerun-best`: from a spec, or from an experiment that exists, to a new one."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.client import Client, read_spec
from service.cli.options import AsJson, Follow, Id, Key, connected
from service.cli.output import out, print_json, say
from service.cli.reading import follow_to_end
from service.documents import read_document
from service.errors import TetError
from service.spec.experiment import MAX_SEEDS

Json = dict[str, Any]

File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The spec, JSON or YAML; with --preset, what is to be different in it."),
]
Preset = Annotated[str | None, typer.Option(metavar="NAME", help="One of `tet presets`.")]


def submit(file: File = None, preset: Preset = None, follow: Follow = False, idempotency_key: Key = None) -> None:
    """Post an experiment: a spec of your own, or a preset."""
    body, content_type = _read(file, preset)
    with connected() as client:
        posted(client, client.submit(body, content_type, idempotency_key, preset=preset), follow=follow)


def validate(file: File = None, preset: Preset = None, as_json: AsJson = False) -> None:
    """Check a spec, or a preset, without running it: its faults, or what it would ask of the cluster."""
    body, content_type = _read(file, preset)
    with connected() as client:
        found = client.validate(body, content_type, preset=preset)
    if as_json:
        print_json(found)
        return
    out.print(f"no faults: {found['num_chains']:,} chains, {found['num_stages']:,} stages", markup=False)
    out.print(found["placement"]["detail"], markup=False, soft_wrap=True)


def _read(file: Path | None, preset: str | None) -> tuple[bytes, str]:
    """What is to be sent, and of which media type."""
    if file is None and preset is None:
        raise TetError("what is to be run? Give a FILE, or --preset NAME (`tet presets` lists them)")
    return (b"", "application/json") if file is None else read_spec(file)


def posted(client: Client, experiment: Json, *, follow: bool) -> None:
    """Prints a new experiment's id, or watches it to its end."""
    if follow:
        follow_to_end(client, experiment["id"])
        return
    out.print(experiment["id"])
    say(f"watch it: tet follow {experiment['id']}")


def fork(
    experiment_id: Id,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="What is to be different in its spec, JSON or YAML.")
    ] = None,
    arm: Annotated[str | None, typer.Option(metavar="NAME", help="Start every arm at this arm of it.")] = None,
    stage: Annotated[int | None, typer.Option(metavar="INDEX", help="Start at this stage, from 0.")] = None,
    follow: Follow = False,
    idempotency_key: Key = None,
) -> None:
    """Post a new experiment that starts from the checkpoints of one that exists."""
    body = json.dumps(_changes(file, arm, stage)).encode()
    with connected() as client:
        posted(client, client.fork(experiment_id, body, "application/json", idempotency_key), follow=follow)


def _changes(file: Path | None, arm: str | None, stage: int | None) -> Json:
    changes: object = {}
    if file is not None:
        body, content_type = read_spec(file)
        changes = read_document(body, content_type)
    if not isinstance(changes, Mapping):
        raise TetError(f"{file} must hold a mapping: the part of the spec that is to be different")
    start = {key: value for key, value in (("arm", arm), ("stage", stage)) if value is not None}
    return {**changes, "start": {**changes.get("start", {}), **start}} if start else dict(changes)


def rerun_best(
    experiment_id: Id,
    seeds: Annotated[
        str,
        typer.Option(metavar="SEEDS", help="Others than the search's own: 10-14, or 10,11,20-22.", show_default=False),
    ],
    arm: Annotated[list[str] | None, typer.Option(metavar="NAME", help="This arm alone; may be repeated.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the new experiment.")] = None,
    train_part: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of the training set, 1 for all of it; else as in the search.")
    ] = None,
    follow: Follow = False,
    idempotency_key: Key = None,
) -> None:
    """Measure what a search has chosen over seeds that had no part in the choice, as a new experiment."""
    wanted = {"seeds": numbers(seeds), "name": name, "arms": arm or None, "train_part": train_part}
    with connected() as client:
        posted(client, client.rerun_best(experiment_id, wanted, idempotency_key), follow=follow)


def numbers(text: str) -> list[int]:
    """Seeds as they are written: numbers and ranges, both ends included, with commas between them.

    Raises:
        TetError: It is something else, or more than a spec may have.
    """
    found: list[int] = []
    for part in text.split(","):
        fitting = re.fullmatch(r"\s*([0-9]{1,10})(?:\s*-\s*([0-9]{1,10}))?\s*", part)
        first, last = (int(fitting[1]), int(fitting[2] or fitting[1])) if fitting else (0, -1)
        if first > last:
            raise TetError(f"--seeds {text!r}: {part!r} must be a number from 0 up, or a range such as 10-14")
        if len(found) + last - first >= MAX_SEEDS:
            raise TetError(f"--seeds {text!r}: must be at most {MAX_SEEDS:,} seeds")
        found += range(first, last + 1)
    return found
