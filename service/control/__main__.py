"""The control process: `python -m service.control`, as a child of the API's process.

It runs the reconciler and the housekeeper. It is a process of its own, because a round over many experiments computes
for a good part of a second: a thread of the API would delay the API's answers.

Each second it prints a line: empty, or what keeps the reconciler from its work. It ends on SIGTERM, and when its
standard input is closed, so it does not outlive its parent for long. It does not wait for a thread that hangs: every
act may be repeated, and the next process repeats it.
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
# After the reconciler has had a problem for so long, this process ends, and its parent starts a new one.
GIVE_UP_AFTER_S = 60.0
# The threads have so long to end their step; the rest of the parent's patience is for leaving.
END_WITHIN_S = STOP_S - 5.0


def main() -> int:
    """Work until asked to end; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    ended = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches parent and child: the parent ends the child
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
    # Not sys.stdin: this thread would hold its lock, and the interpreter aborts at its end if it cannot take it.
    while os.read(0, 4096):
        pass
    ended.set()


def _watch(reconciler: Reconciler, ended: threading.Event) -> None:
    """Print each second whether the reconciler works, until asked to end."""
    failing_since: float | None = None
    while not ended.is_set():
        problem, now = reconciler.problem(), time.monotonic()
        _tell(problem or "", ended)
        failing_since = None if problem is None else failing_since or now
        if failing_since is not None and now - failing_since > GIVE_UP_AFTER_S:
            log.error("%s; a new process takes over", problem)
            _leave(1)
        ended.wait(TELL_EVERY_S)


def _end(*parts: Reconciler | Housekeeper) -> None:
    """Ask all to stop, then wait for each; leave at once if one does not end in time."""
    for part in parts:
        part.ask_to_stop()
    deadline = time.monotonic() + END_WITHIN_S
    late = [part for part in parts if not part.ended_within(max(0.0, deadline - time.monotonic()))]
    if late:
        log.warning("ended in the middle of its work: %s", ", ".join(type(part).__name__ for part in late))
        _leave(0)


def _leave(status: int) -> NoReturn:
    logging.shutdown()
    os._exit(status)


def _tell(text: str, ended: threading.Event) -> None:
    try:
        print(" ".join(text.split()), flush=True)
    except OSError:  # the parent is gone
        ended.set()


if __name__ == "__main__":
    sys.exit(main())
