"""The parent's side of the control process: start it, read its output, start it again if it dies or hangs, end it."""

import logging
import os
import select
import subprocess
import sys
import threading
import time

from service.settings import Settings

log = logging.getLogger(__name__)

# Seconds until the first line: the process imports, connects and does a round, which takes long on a busy machine.
FIRST_SIGN_S = 60.0
# The process prints a line each second. After this many seconds without a line, it is killed.
SILENT_S = 30.0
# Seconds before the process is started again.
RESTART_WAIT_S = 1.0
# Seconds that the process has to end: its current round may wait for a Ray that does not answer.
STOP_S = 30.0


class ControlProcess:
    """The child that runs the reconciler, the housekeeper and the deliverer, and the thread that reads its output."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._first_line_came = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._last_line, self._last_line_at = "it has not started yet", time.monotonic()
        self._thread = threading.Thread(target=self._work, name="control", daemon=True)

    def start(self) -> None:
        """Start the process, and wait at most `FIRST_SIGN_S` for its first line; if none comes, `problem` says so."""
        self._thread.start()
        self._first_line_came.wait(FIRST_SIGN_S)

    def stop(self) -> None:
        """End the process after its current round."""
        self._ending.set()
        self._end_process()
        self._thread.join()

    def problem(self) -> str | None:
        """Return why the process does not work; None while it does."""
        process = self._process
        if process is None or process.poll() is not None:
            return f"the control process does not run ({self._last_line or 'it worked until a moment ago'})"
        silent_s = time.monotonic() - self._last_line_at
        if silent_s > SILENT_S:
            return f"the control process has been silent for {silent_s:.0f} s"
        return self._last_line or None

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                started = self._start_process()
            except OSError as error:  # no file, process or memory is free at the moment
                self._last_line = f"it cannot be started: {error}"
                log.error("the control process cannot be started: %s; trying again", error)
                self._ending.wait(RESTART_WAIT_S)
                continue
            with started as process:
                self._last_line, self._last_line_at = "it has printed nothing yet", time.monotonic()
                self._process = process
                if self._ending.is_set():  # `stop` was called after the condition of the loop was checked
                    self._end_process()
                self._listen(process)
            if not self._ending.wait(RESTART_WAIT_S):
                log.error("the control process ended with status %d; starting it again", process.returncode)

    def _start_process(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "service.control"],
            env={**os.environ, **self._settings.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Store each line of the process until it ends; kill it if it prints none for too long."""
        assert process.stdout is not None
        output = process.stdout.fileno()
        poller = select.poll()
        poller.register(output, select.POLLIN)
        patience_s, rest = FIRST_SIGN_S, b""
        while poller.poll(1000 * patience_s):
            data = os.read(output, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                self._last_line, self._last_line_at = lines[-1].decode(errors="replace").strip(), time.monotonic()
                self._first_line_came.set()
                patience_s = SILENT_S
        log.error("the control process has been silent for %.0f s; killing it", patience_s)
        process.kill()

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
