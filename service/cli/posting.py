"""`tet submit`, `validate`, `fork`, `rerun-best`: new experiments, from a spec or from an existing experiment."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from service.answers.validation import ValidatedSpec
from service.cli.client import Client, read_spec
from service.cli.forms import Json, as_model
from service.cli.options import AsJson, Follow, Id, Key, Report, connected
from service.cli.output import out, print_json, say
from service.cli.report_files import prepared
from service.cli.showing import follow_to_end
from service.documents import read_document
from service.errors import TetError, shown
from service.spec.seed_range import MAX_SEEDS

File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The spec, JSON or YAML; with --preset, the changes to its spec."),
]
Preset = Annotated[str | None, typer.Option(metavar="NAME", help="The name of a preset; `tet presets` lists them.")]
Seeds = Annotated[
    str,
    typer.Option(
        metavar="SEEDS", help="New seeds, none of the search's own: 10-14, or 10,11,20-22.", show_default=False
    ),
]


def submit(
    file: File = None,
    preset: Preset = None,
    follow: Follow = False,
    report: Report = None,
    idempotency_key: Key = None,
) -> None:
    """Post an experiment: a spec of your own, or a preset."""
    body, content_type = _body(file, preset)
    folder = prepared(report, follow=follow)
    with connected() as client:
        posted = client.submit(body, content_type, idempotency_key, preset=preset)
        show_posted(client, posted, follow=follow, report=folder)


def validate(file: File = None, preset: Preset = None, as_json: AsJson = False) -> None:
    """Check a spec, or a preset, without running it: print its faults, or its size and whether it can be placed."""
    body, content_type = _body(file, preset)
    with connected() as client:
        answer = client.validate(body, content_type, preset=preset)
    if as_json:
        print_json(answer)
        return
    valid = as_model(ValidatedSpec, answer)
    out.print(f"no faults: {valid.num_chains:,} chains, {valid.num_stages:,} stages", markup=False)
    out.print(valid.placement.detail, markup=False, soft_wrap=True)
    for note in valid.notes:
        out.print(f"note: {note.field}: {note.detail}", style="yellow", markup=False, soft_wrap=True)


def _body(file: Path | None, preset: str | None) -> tuple[bytes, str]:
    """Return the body to send, and its media type."""
    if file is None and preset is None:
        raise TetError("there is nothing to run: give a FILE, or --preset NAME (`tet presets` lists them)")
    return (b"", "application/json") if file is None else read_spec(file)


def show_posted(client: Client, experiment: Json, *, follow: bool, report: Path | None) -> None:
    """Print a new experiment's id, or watch the experiment to its end, and write its report into the folder."""
    if follow:
        follow_to_end(client, experiment["id"], report)
        return
    out.print(experiment["id"])
    say(f"watch it: tet follow {experiment['id']}")


def fork(
    experiment_id: Id,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The changes to its spec, JSON or YAML.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="NAME", help="Start every arm from this arm of the parent.")
    ] = None,
    stage: Annotated[int | None, typer.Option(metavar="INDEX", help="Start after this stage, counted from 0.")] = None,
    follow: Follow = False,
    report: Report = None,
    idempotency_key: Key = None,
) -> None:
    """Post a new experiment that starts from the checkpoints of an existing one."""
    body = json.dumps(_changes(file, arm, stage)).encode()
    folder = prepared(report, follow=follow)
    with connected() as client:
        posted = client.fork(experiment_id, body, "application/json", idempotency_key)
        show_posted(client, posted, follow=follow, report=folder)


def _changes(file: Path | None, arm: str | None, stage: int | None) -> Json:
    changes: object = {}
    if file is not None:
        body, content_type = read_spec(file)
        changes = read_document(body, content_type)
    if not isinstance(changes, Mapping):
        raise TetError(f"{file} must hold a mapping: the part of the spec that changes")
    start = {key: value for key, value in (("arm", arm), ("stage", stage)) if value is not None}
    if not start:
        return dict(changes)
    known = changes.get("start", {})
    if not isinstance(known, Mapping):
        raise TetError(f"{file}: start must be a mapping if --arm or --stage is given (got {shown(known)!r})")
    return {**changes, "start": {**known, **start}}


def rerun_best(
    experiment_id: Id,
    seeds: Seeds,
    arm: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this arm; may be repeated.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the new experiment.")] = None,
    train_part: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of the training set (1: all); default: the search's.")
    ] = None,
    follow: Follow = False,
    report: Report = None,
    idempotency_key: Key = None,
) -> None:
    """Measure a search's best configurations, over seeds that had no part in the choice, as a new experiment."""
    wanted = {"seeds": parse_seeds(seeds), "name": name, "arms": arm or None, "train_part": train_part}
    folder = prepared(report, follow=follow)
    with connected() as client:
        posted = client.rerun_best(experiment_id, wanted, idempotency_key)
        show_posted(client, posted, follow=follow, report=folder)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text: numbers and ranges, both ends included, separated by commas.

    Raises:
        TetError: The text has another form, or more seeds than a spec may have.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,10})(?:\s*-\s*([0-9]{1,10}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first > last:
            raise TetError(f"--seeds {text!r}: {part!r} must be an integer of at least 0, or a range such as 10-14")
        if len(seeds) + last - first >= MAX_SEEDS:
            raise TetError(f"--seeds {text!r}: must be at most {MAX_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    return seeds
