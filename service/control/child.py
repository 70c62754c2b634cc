"""The parent's side of the control process: start it, listen to it, start it again if it dies or hangs, end it."""

import logging
import os
import select
import subprocess
import sys
import threading
import time

from service.settings import Settings

log = logging.getLogger(__name__)

# Until its first line it imports, connects and does a round; on a busy machine that takes a while.
FIRST_SIGN_S = 60.0
# It prints a line each second; if none comes for so long, it hangs and is killed.
SILENT_S = 30.0
AGAIN_S = 1.0
# Its current round may wait for a Ray that does not answer.
STOP_S = 30.0


class ControlProcess:
    """The child that runs the reconciler and the housekeeper, and the thread that listens to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._heard = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._said, self._said_at = "it has not started yet", time.monotonic()
        self._thread = threading.Thread(target=self._work, name="control", daemon=True)

    def start(self) -> None:
        """Start it, and wait a while for its first line; if none comes, `problem` says so."""
        self._thread.start()
        self._heard.wait(FIRST_SIGN_S)

    def stop(self) -> None:
        """End it after its current round."""
        self._ending.set()
        self._end_process()
        self._thread.join()

    def problem(self) -> str | None:
        """Return why it cannot be relied on; None while it works."""
        process = self._process
        if process is None or process.poll() is not None:
            return f"the control process does not run ({self._said or 'it worked until a moment ago'})"
        silent_s = time.monotonic() - self._said_at
        if silent_s > SILENT_S:
            return f"the control process has been silent for {silent_s:.0f} s"
        return self._said or None

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                started = self._started()
            except OSError as error:  # no file, process or memory is free at the moment
                self._said = f"it cannot be started: {error}"
                log.error("the control process cannot be started: %s; trying again", error)
                self._ending.wait(AGAIN_S)
                continue
            with started as process:
                self._said, self._said_at = "it has said nothing yet", time.monotonic()
                self._process = process
                if self._ending.is_set():  # `stop` was called since the loop asked
                    self._end_process()
                self._listen(process)
            if not self._ending.wait(AGAIN_S):
                log.error("the control process ended with status %d; starting it again", process.returncode)

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "service.control"],
            env={**os.environ, **self._settings.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Keep its last line until it ends; kill it if none comes for long."""
        assert process.stdout is not None
        output = process.stdout.fileno()
        words = select.poll()
        words.register(output, select.POLLIN)
        patience_s, rest = FIRST_SIGN_S, b""
        while words.poll(1000 * patience_s):
            data = os.read(output, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                self._said, self._said_at = lines[-1].decode(errors="replace").strip(), time.monotonic()
                self._heard.set()
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
