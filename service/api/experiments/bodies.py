"""Request bodies, read as a spec, as changes to a spec, or as another request."""

from collections.abc import AsyncIterator
from email.message import Message
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from service.api.checking import meaning
from service.api.context import InContext
from service.documents import MEDIA_TYPES, read_document
from service.errors import shown
from service.presets import catalogue
from service.spec.experiment import MAX_ARMS, Experiment, Name
from service.spec.seed_range import MAX_SEEDS
from service.text import without_hidden
from tet_core.config import Seed, TrainPart

JSON = "application/json"
# Largest JSON body that is read in a thread of the API, which takes 5 ms.
SMALL_BYTES = 65_536
# A byte of YAML counts as this many bytes of JSON. It takes more than 30 times as long, so 4 KB take some 10 ms.
YAML_COST = 16

PresetName = Annotated[
    str | None,
    Query(
        alias="preset",
        max_length=80,
        description="Take the spec of this preset (see `GET /presets`). The body may "
        "then be empty, or hold the part of "
        "the spec that changes: blocks are merged key by key, lists are replaced whole.",
    ),
]


class RerunRequest(BaseModel):
    """A request to measure a search's best configurations over new seeds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MAX_SEEDS)] = Field(
        description="New seeds. Those of the search are refused, because the configurations were chosen by their "
        "results.",
        examples=[[10, 11, 12, 13, 14]],
    )
    name: Annotated[Name, AfterValidator(without_hidden)] | None = Field(
        None, description="The name of the new experiment; null: the search's name, followed by ' (best)'."
    )
    arms: Annotated[list[str], Field(min_length=1, max_length=MAX_ARMS)] | None = Field(
        None,
        description="Names of the arms to measure; null: all. If the baseline is not among them, the first of them "
        "becomes the baseline.",
    )
    train_part: TrainPart | None = Field(
        None, description="The share of the training set, such as 1; null: as in the search."
    )


class VerificationRequest(BaseModel):
    """A request to replay a stage."""

    model_config = ConfigDict(extra="forbid", strict=True)

    chain: str = Field(pattern="^[0-9a-f]{1,32}$", description="The chain's id.")
    stage: int = Field(ge=0, le=99, description="The stage's index in the chain, from 0.")


async def _posted_spec(request: Request, context: InContext, preset: PresetName = None) -> AsyncIterator[Experiment]:
    """Yield the spec of a body; the endpoint runs while this request holds its turn."""
    body = await request.body()
    # The preset is found here: a process that checks one document would have to read all presets first.
    base = None if preset is None else await run_in_threadpool(catalogue.preset, preset)
    # With a preset, the body may be empty.
    media_type = "" if base is not None and not body.strip() else _media_type(request.headers.get("content-type"))
    large = is_large(body, media_type)
    async with context.checkers.turn(large):
        if large:
            yield await context.checkers.run(meaning.read_spec, body, media_type, base)
        else:
            yield await run_in_threadpool(meaning.read_spec, body, media_type, base)


async def _posted_changes(request: Request, context: InContext) -> AsyncIterator[object]:
    """Yield a part of a spec as plain data; None if the body is empty."""
    body = await request.body()
    media_type = _media_type(request.headers.get("content-type")) if body.strip() else ""
    large = is_large(body, media_type)
    async with context.checkers.turn(large):
        if not body.strip():
            yield None
        elif large:
            yield await context.checkers.run(read_document, body, media_type)
        else:
            yield await run_in_threadpool(read_document, body, media_type)


async def _turn(context: InContext) -> AsyncIterator[None]:
    """Hold a turn while the endpoint runs: it plans an experiment, however short its body is."""
    async with context.checkers.turn(large=False):
        yield


def is_large(body: bytes, media_type: str) -> bool:
    """Return whether reading a body may take so long that it would delay other answers."""
    cost = len(body) if media_type in ("", JSON) else len(body) * YAML_COST
    return cost > SMALL_BYTES


def _media_type(header: str | None) -> str:
    message = Message()
    message["content-type"] = header or ""
    media_type = message.get_content_type()
    charset = message.get_param("charset", "utf-8")
    if header and media_type in MEDIA_TYPES and str(charset).lower() in ("utf-8", "utf8"):
        return media_type
    sent = f"Content-Type {shown(header)!r}" if header else "no Content-Type"
    detail = f"a body must be {', '.join(MEDIA_TYPES)}, in UTF-8; this request has {sent}"
    raise HTTPException(415, detail, headers={"Accept-Post": ", ".join(MEDIA_TYPES)})


# The scope: the turn ends when the endpoint returns, not when a slow client has read the answer.
PostedSpec = Annotated[Experiment, Depends(_posted_spec, scope="function")]
PostedChanges = Annotated[object, Depends(_posted_changes, scope="function")]
Turn = Depends(_turn, scope="function")
