"""Runs the reconciler and the housekeeper: `python -m service.control`, as a child of the API's process.

A process of its own, since a round over many experiments computes for a good part of a second: as a thread of the API
it would hold up answers. Each second it prints a line, empty or with what keeps it from its work. It ends on SIGTERM,
and when its standard input does: it never outlives its parent for long. What hangs in it is left behind: each act may
be repeated, and the next process repeats it.
"""

import logging
import os
import signal
import sys
import threading
import time
from typing import NoReturn

from service import signals
from service.control.child import STOP_S
from service.control.housekeeper import Housekeeper
from service.control.jobs import RayJobs, token_from
from service.control.reconciler import Reconciler
from service.settings import Settings
from service.store.database import Database

log = logging.getLogger("service.control")

TELL_EVERY_S = 1.0
# A reconciler that cannot be relied on for so long is not waited for any more: a new process takes over.
GIVE_UP_AFTER_S = 60.0
# Threads have so long to end what they are at; the rest is for leaving before the parent's patience is over.
END_WITHIN_S = STOP_S - 5.0


def main() -> int:
    """Work until told to end; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    ended = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches parent and child: the parent says when it is over
    signals.set_on(ended, signal.SIGTERM)
    threading.Thread(target=_await_parent, args=(ended,), name="parent", daemon=True).start()
    settings = Settings.from_environment()
    database = Database(settings.database_url)
    with RayJobs(settings.ray_url, token_from(os.environ, settings.ray_token_file)) as jobs:
        reconciler, housekeeper = Reconciler(database, jobs, settings), Housekeeper(database, settings)
        reconciler.start()
        housekeeper.start()
        _watch(reconciler, ended)
        _end(reconciler, housekeeper)
    database.dispose()
    return 0


def _await_parent(ended: threading.Event) -> None:
    # Not sys.stdin: its buffer's lock would be held, and an interpreter that ends and cannot take it aborts.
    while os.read(0, 4096):
        pass
    ended.set()


def _watch(reconciler: Reconciler, ended: threading.Event) -> None:
    """Tell each second how the reconciler fares, until told to end."""
    failing_since: float | None = None
    while not ended.is_set():
        problem, now = reconciler.problem(), time.monotonic()
        _tell(problem or "", ended)
        failing_since = None if problem is None else failing_since or now
        if failing_since is not None and now - failing_since > GIVE_UP_AFTER_S:
            log.error("%s; a new process is to take over", problem)
            _leave(1)
        ended.wait(TELL_EVERY_S)


def _end(*parts: Reconciler | Housekeeper) -> None:
    """Ask all to stop, then wait for each; leave at once if one does not end in time."""
    for part in parts:
        part.ask_to_stop()
    deadline = time.monotonic() + END_WITHIN_S
    late = [part for part in parts if not part.ended_within(max(0.0, deadline - time.monotonic()))]
    if late:
        log.warning("left in the middle of its work: %s", ", ".join(type(part).__name__ for part in late))
        _leave(0)


def _leave(status: int) -> NoReturn:
    logging.shutdown()
    os._exit(status)


def _tell(text: str, ended: threading.Event) -> None:
    try:
        print(" ".join(text.split()), flush=True)
    except OSError:  # nobody listens any more
        ended.set()


if __name__ == "__main__":
    sys.exit(main())
