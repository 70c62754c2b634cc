"""Messages of webhooks at an experiment's end, signed by the conventions of Standard Webhooks, and when to try again.

The receiver computes HMAC-SHA-256 over `<webhook-id>.<webhook-timestamp>.<body>` with the service's secret and compares
it with `webhook-signature`. `webhook-id` names experiment and generation, so receivers recognise a repeated message.
"""

import base64
import hashlib
import hmac
import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from service.store.tables import ExperimentRow
from service.times import exact

MAX_TRIES = 10
# Seconds before the next try: the wait doubles from the first of these to the last.
FIRST_WAIT_S, LAST_WAIT_S = 5.0, 3600.0
SECRET_PREFIX = "whsec_"


def secret(file: Path) -> bytes:
    """Return the service's secret; on the first call, create its file, which only the service's user can read."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())
        try:
            os.link(temporary, file)
        except FileExistsError:  # another process created it meanwhile
            pass
        finally:
            temporary.unlink()
    return base64.b64decode(file.read_text().strip().removeprefix(SECRET_PREFIX))


def message(row: ExperimentRow, comparison_url: str) -> dict[str, Any]:
    """Return the body of the request."""
    assert row.finished_at is not None
    return {
        "type": f"experiment.{row.state}",
        "timestamp": exact(row.finished_at),
        "data": {
            "id": row.id,
            "name": row.name,
            "labels": row.labels,
            "state": row.state,
            "reason": row.reason,
            "failure": row.failure,
            "generation": row.generation,
            "stages_done": row.stages_done,
            "stages_total": row.stages_total,
            "comparison": comparison_url,
        },
    }


def signed(key: bytes, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that prove who sent a body."""
    at = str(int(now.timestamp()))
    digest = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def next_try(tries: int, now: datetime) -> datetime | None:
    """Return when to try again after `tries` tries; None if there is no further try."""
    if tries >= MAX_TRIES:
        return None
    return now + timedelta(seconds=min(FIRST_WAIT_S * 2.0 ** (tries - 1), LAST_WAIT_S))
