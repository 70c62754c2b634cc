"""The deliverer sends the webhooks of experiments that have ended, several at once.

It has a thread of its own: receivers belong to strangers, and may be slow, absent or hostile. No receiver and no row of
the database delays another one: every delivery has a deadline, and any error counts as one try of its row.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Sequence

import httpx

from service.control import webhook
from service.control.background import BackgroundThread
from service.control.delivery import deliver
from service.events import utc_now
from service.settings import Settings
from service.store.database import Database
from service.store.tables import ExperimentRow
from service.text import printable

log = logging.getLogger(__name__)

# Seconds between two rounds.
INTERVAL_S = 1.0
# Largest number of webhooks that one round delivers, all at the same time.
MAX_PER_ROUND = 20


class Deliverer(BackgroundThread):
    """The thread of the deliverer. A message may arrive twice, with the same id, if two deliverers work at once."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__("deliverer", INTERVAL_S)
        self._database, self._settings = database, settings
        self._tls: ssl.SSLContext | None = None

    def round(self) -> None:
        """Do one round: deliver the webhooks that are due, and store how each delivery went."""
        with self._database.reading() as repository:
            due = repository.upkeep.to_notify(utc_now(), MAX_PER_ROUND)
        if due:
            asyncio.run(self._deliver_all(due))

    async def _deliver_all(self, rows: Sequence[ExperimentRow]) -> None:
        await asyncio.gather(*map(self._deliver, rows))

    async def _deliver(self, row: ExperimentRow) -> None:
        try:
            problem = await self._send(row)
        except Exception as error:  # a bad row must not stop the others
            log.exception("experiment %s: the webhook could not be sent", row.id)
            problem = printable(f"the webhook could not be sent: {type(error).__name__}: {error}")
        try:
            await asyncio.to_thread(self._store, row, problem)
        except Exception:  # the row stays due, and its message is sent again with the same id
            log.exception("experiment %s: the outcome of its webhook was not stored", row.id)

    async def _send(self, row: ExperimentRow) -> str | None:
        """Send a row's message; return what went wrong, or None."""
        self._tls = self._tls or httpx.create_ssl_context(trust_env=False)
        comparison_url = f"{self._settings.api_url}/experiments/{row.id}/comparison"
        body = json.dumps(webhook.message(row, comparison_url), ensure_ascii=False).encode()
        key = webhook.secret(self._settings.webhook_secret_file)
        headers = webhook.signed(key, f"{row.id}-{row.generation}", utc_now(), body)
        return await deliver(
            str(row.spec["webhook"]["url"]), body, headers, hosts=self._settings.webhook_hosts, tls=self._tls
        )

    def _store(self, row: ExperimentRow, problem: str | None) -> None:
        """Store the outcome of one try, and when the next one is due."""
        now = utc_now()
        with self._database.session() as repository:
            current = repository.upkeep.get_locked(row.id)
            if current is None or current.generation != row.generation or current.notify_at is None:
                return
            current.notify_tries += 1
            current.notify_error = problem or ""
            current.notified_at = None if problem else now
            current.notify_at = webhook.next_try(current.notify_tries, now) if problem else None
        if problem:
            log.warning("experiment %s: the webhook was not delivered: %s", row.id, problem)
