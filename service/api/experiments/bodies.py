"""From the body of a request to a spec."""

from email.message import Message
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from service.documents import MEDIA_TYPES, load
from service.errors import shown
from service.spec import Experiment, parse


async def _posted_spec(request: Request) -> Experiment:
    media_type = _media_type(request.headers.get("content-type"))
    body = await request.body()
    # A large document takes a second or two: other requests are served meanwhile.
    return await run_in_threadpool(lambda: parse(load(body, media_type)))


def _media_type(header: str | None) -> str:
    message = Message()
    message["content-type"] = header or ""
    media_type = message.get_content_type()
    charset = message.get_param("charset", "utf-8")
    if header and media_type in MEDIA_TYPES and str(charset).lower() in ("utf-8", "utf8"):
        return media_type
    sent = f"Content-Type {shown(header)!r}" if header else "no Content-Type"
    detail = f"a body comes as {', '.join(MEDIA_TYPES)}, in UTF-8; this one came with {sent}"
    raise HTTPException(415, detail, headers={"Accept-Post": ", ".join(MEDIA_TYPES)})


PostedSpec = Annotated[Experiment, Depends(_posted_spec)]
