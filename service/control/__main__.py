"""Runs the reconciler and the housekeeper: `python -m service.control`, as a child of the API's process.

A process of its own, since a round over many experiments computes for a good part of a second: as a thread of the API
it would hold up answers. Each second it prints a line, empty or with what keeps it from its work. It ends on SIGTERM,
and when its standard input does: it never outlives its parent for long.
"""

import logging
import os
import signal
import sys
import threading

from service.control.housekeeper import Housekeeper
from service.control.jobs import RayJobs, token_from
from service.control.reconciler import Reconciler
from service.settings import Settings
from service.store.database import Database

TELL_EVERY_S = 1.0


def main() -> int:
    """Work until told to end; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    ended = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches parent and child: the parent says when it is over
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=_await_parent, args=(ended,), name="parent", daemon=True).start()
    settings = Settings.from_environment()
    database = Database(settings.database_url)
    with RayJobs(settings.ray_url, token_from(os.environ, settings.ray_token_file)) as jobs:
        reconciler, housekeeper = Reconciler(database, jobs, settings), Housekeeper(database, settings)
        reconciler.start()
        housekeeper.start()
        while not ended.is_set():
            _tell(reconciler.problem() or "", ended)
            ended.wait(TELL_EVERY_S)
        housekeeper.stop()
        reconciler.stop()
    database.dispose()
    return 0


def _await_parent(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _tell(text: str, ended: threading.Event) -> None:
    try:
        print(" ".join(text.split()), flush=True)
    except OSError:  # nobody listens any more
        ended.set()


if __name__ == "__main__":
    sys.exit(main())
