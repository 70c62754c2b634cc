"""The control process: `python -m service.control`, as a child of the API's process.

It runs the reconciler, the housekeeper and the deliverer of webhooks. It is a process of its own, because a round over
many experiments takes a large part of a second: as a thread of the API, it would delay the API's answers.

Each second it prints a line: the problem of the reconciler, or an empty line if there is none. It ends on SIGTERM, and
when its standard input is closed, so it does not outlive its parent for long. It does not wait for a thread that hangs:
every act may be repeated, and the next process does so.
"""

import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from typing import NoReturn

from sqlalchemy.exc import SQLAlchemyError

from service import signals
from service.control.background import BackgroundThread
from service.control.child import STOP_S
from service.control.curves_filler import CurvesFiller
from service.control.deliverer import Deliverer
from service.control.housekeeper import Housekeeper
from service.control.jobs import RayJobs, token_from
from service.control.reconciler import Reconciler
from service.control.resampling_filler import ResamplingFiller
from service.control.stream_thinner import StreamThinner
from service.settings import Settings
from service.store.database import Database
from service.times import log_to

log = logging.getLogger("service.control")

# Seconds between two lines of output.
REPORT_INTERVAL_S = 1.0
# Seconds with a problem of the reconciler after which this process exits. Its parent then starts a new one.
GIVE_UP_AFTER_S = 60.0
# Seconds that the threads have to end their current step. The parent waits STOP_S, and the rest is for the exit.
END_WITHIN_S = STOP_S - 5.0


def main() -> int:
    """Run until asked to end; return the exit status."""
    log_to(named=True)
    ended = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches parent and child: the parent ends the child
    signals.set_on(ended, signal.SIGTERM)
    threading.Thread(target=_await_parent, args=(ended,), name="parent", daemon=True).start()
    settings = Settings.from_environment()
    database = Database(settings.database_url)
    _await_known(database, ended)
    if not ended.is_set():
        _work(database, settings, ended)
    database.dispose()
    return 0


def _work(database: Database, settings: Settings, ended: threading.Event) -> None:
    """Run the threads until this process is asked to end."""
    with RayJobs(settings.ray_url, token_from(os.environ, settings.ray_token_file)) as jobs:
        reconciler = Reconciler(database, jobs, settings)
        parts = (
            reconciler,
            Housekeeper(database, settings),
            Deliverer(database, settings),
            CurvesFiller(database, settings),
            ResamplingFiller(database, settings),
            StreamThinner(database),
        )
        for part in parts:
            part.start()
        _watch(reconciler, ended)
        _end(*parts)


def _await_known(database: Database, ended: threading.Event) -> None:
    """If a newer version has written the database, report this and wait: this version must not touch it.

    This also returns when the process is asked to end.
    """
    while not ended.is_set():
        try:
            refusal = database.refusal()
        except (SQLAlchemyError, sqlite3.Error):  # it cannot be reached: the reconciler reports this, and waits for it
            return
        if refusal is None:
            return
        _report(refusal, ended)
        ended.wait(REPORT_INTERVAL_S)


def _await_parent(ended: threading.Event) -> None:
    # Not sys.stdin: this thread would hold its lock, and the interpreter aborts at exit if another thread holds it.
    while os.read(0, 4096):
        pass
    ended.set()


def _watch(reconciler: Reconciler, ended: threading.Event) -> None:
    """Print the reconciler's problem or an empty line each second, until asked to end."""
    failing_since: float | None = None
    while not ended.is_set():
        problem, now = reconciler.problem(), time.monotonic()
        _report(problem or "", ended)
        failing_since = None if problem is None else failing_since or now
        if failing_since is not None and now - failing_since > GIVE_UP_AFTER_S:
            log.error("%s; a new process takes over", problem)
            _exit_now(1)
        ended.wait(REPORT_INTERVAL_S)


def _end(*parts: BackgroundThread) -> None:
    """Ask all threads to stop, and wait for each; exit at once if one does not end in time."""
    for part in parts:
        part.ask_to_stop()
    deadline = time.monotonic() + END_WITHIN_S
    late = [part for part in parts if not part.ended_within(max(0.0, deadline - time.monotonic()))]
    if late:
        log.warning("ended in the middle of its work: %s", ", ".join(type(part).__name__ for part in late))
        _exit_now(0)


def _exit_now(status: int) -> NoReturn:
    logging.shutdown()
    os._exit(status)


def _report(text: str, ended: threading.Event) -> None:
    try:
        print(" ".join(text.split()), flush=True)
    except OSError:  # the parent is gone
        ended.set()


if __name__ == "__main__":
    sys.exit(main())
