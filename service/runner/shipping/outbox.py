"""The outbox: it ships what is committed to MLflow until everything is there. Training never waits for it.

What was shipped before a driver was killed does not matter: shipping twice changes nothing, see `shipper`.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mlflow.exceptions import MlflowException
from requests import RequestException

from service.events import OutboxChanged
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.refusals import Refusals, is_refusal
from service.runner.shipping.shipper import Shipper

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0
# How long, s, until MLflow is asked again after it did not answer.
RETRY_INTERVAL_S = 5.0


class Outbox:
    """The thread that ships, and the wait for its end.

    Args:
        experiment_id: The experiment's id.
        ledger: What is committed.
        runs: The experiment's runs in MLflow.
        events: Where the outbox announces what it does.
        spec_file: The spec, which is attached to every run.
        refusals: How long MLflow may refuse; None: for ever.
    """

    def __init__(
        self,
        experiment_id: str,
        ledger: Ledger,
        runs: MlflowRuns,
        events: EventFile,
        spec_file: Path,
        refusals: Refusals | None = None,
    ) -> None:
        self._shipper = Shipper(experiment_id, ledger, runs, events, spec_file)
        self._events = events
        self._refusals = refusals or Refusals(float("inf"))
        # How many points waited, and why, when that was last announced.
        self._announced = (0, "")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def start(self) -> None:
        """Start to ship in the background."""
        self._thread.start()

    def finish(
        self, cancelled: threading.Event, give_up_after_s: float, given_up: Callable[[], bool] = lambda: False
    ) -> bool:
        """Ship until nothing is left, however long MLflow does not answer; stop if it refuses for good (see `refusal`).

        Args:
            cancelled: Once set, the wait is cut short.
            give_up_after_s: How long to keep trying after `cancelled` was set.
            given_up: Whether to leave the rest to a newer driver.

        Returns:
            Whether everything is in MLflow.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        give_up_at = None
        while not given_up():
            error = self.ship_once()
            if error is None and self.pending() == 0:
                return True
            if self.refusal is not None:
                return False
            if cancelled.is_set():
                give_up_at = give_up_at or time.monotonic() + give_up_after_s
                if time.monotonic() > give_up_at:
                    return False
                time.sleep(POLL_INTERVAL_S)
            else:
                cancelled.wait(RETRY_INTERVAL_S if error else POLL_INTERVAL_S)
        return False

    @property
    def refusal(self) -> str | None:
        """MLflow's answer, where it has refused for so long that it counts as final; None where it has not."""
        return self._announced[1] if self._refusals.lasting else None

    def pending(self) -> int:
        """Return how many committed points are not in MLflow."""
        return self._shipper.pending()

    def kill_unfinished(self) -> None:
        """Close the runs of what was cancelled. If MLflow does not answer they stay open, which does no harm."""
        try:
            self._shipper.kill_unfinished()
        except (MlflowException, RequestException) as error:
            log.warning("cancelled runs stay open in MLflow: %s", error)

    def ship_once(self) -> str | None:
        """Ship everything that is committed now; return MLflow's error where it failed."""
        error, refused = None, None
        try:
            self._shipper.ship()
        except (MlflowException, RequestException) as exception:
            error, refused = " ".join(str(exception).split())[:300], exception
            if not is_refusal(exception):  # MLflow may have lost something: look everything up again
                self._shipper.forget()
            log.warning("MLflow did not take %d points: %s", self.pending(), error)
        self._announce(error or "")
        self._refusals.note(refused, self._shipper.num_shipped())
        return error

    def _announce(self, error: str) -> None:
        now = (self.pending() if error else 0, error)
        if now != self._announced:
            self._events.append(OutboxChanged(pending=now[0], error=error))
            self._announced = now

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                error = self.ship_once()
            except Exception as exception:  # of the storage, for example: in `finish` it would end the driver
                log.exception("shipping failed; it is tried again")
                error = str(exception)
            self._stop.wait(RETRY_INTERVAL_S if error else POLL_INTERVAL_S)
