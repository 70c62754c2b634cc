"""Times as text, in UTC, as the text says: `2026-11-30T20:22:23Z` for programs, `2026-11-30 20:22:23 UTC` for people.

Log lines begin with the form for programs.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any


def for_programs(at: datetime | float) -> str:
    """Return a time, aware or in seconds since 1970, as `2026-11-30T20:22:23Z`."""
    return f"{_utc(at):%Y-%m-%dT%H:%M:%SZ}"


def for_people(at: datetime | float) -> str:
    """Return a time, aware or in seconds since 1970, as `2026-11-30 20:22:23 UTC`."""
    return f"{_utc(at):%Y-%m-%d %H:%M:%S UTC}"


def exact(at: datetime) -> str:
    """Return an aware time for programs with its microseconds, as the API's answers have it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _utc(at: datetime | float) -> datetime:
    return at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)


class UtcFormatter(logging.Formatter):
    """A formatter of log lines whose `%(asctime)s` is a time for programs."""

    default_time_format = "%Y-%m-%dT%H:%M:%SZ"
    default_msec_format = ""
    converter = staticmethod(time.gmtime)


def log_to(*handlers: logging.Handler, level: int | str = logging.INFO, named: bool = False) -> None:
    """Send this process's log to handlers, with times in UTC.

    Args:
        *handlers: Where lines go; standard error if there are none.
        level: The lowest level that is logged.
        named: Whether each line has the name of its logger.
    """
    given: list[Any] = list(handlers) or [logging.StreamHandler()]
    name = "%(name)s: " if named else ""
    for handler in given:
        handler.setFormatter(UtcFormatter(f"%(asctime)s %(levelname)s {name}%(message)s"))
    logging.basicConfig(level=level, handlers=given)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every request
