"""The outbox: it ships commits from the storage to MLflow. Training never waits for the outbox.

A driver that replaces a killed driver may ship some commits a second time. This changes nothing: see `shipper`.
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
from service.runner.shipping.described_experiment import DescribedExperiment
from service.runner.shipping.described_runs import DescribedRuns
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.refusals import Refusals, is_refusal
from service.runner.shipping.shipper import Shipper

log = logging.getLogger(__name__)

# The time, in s, from one shipping to the next.
POLL_INTERVAL_S = 1.0
# The time, in s, from a shipping that failed to the next.
RETRY_INTERVAL_S = 5.0


class Outbox:
    """The thread that ships while trials run, and the shipping of the rest at the end.

    Args:
        experiment_id: The experiment's id.
        ledger: The committed state of all stages.
        runs: The experiment's runs in MLflow.
        events: The event file, to which the outbox announces runs, pending points and errors.
        spec_file: The spec. It is attached to the run of every chain, and to the run of every stage that succeeds.
        refusals: Decides when refusals count as final; None: they never do.
        page: The experiment's page in MLflow; None: the outbox ships only runs.
    """

    def __init__(
        self,
        experiment_id: str,
        ledger: Ledger,
        runs: MlflowRuns,
        events: EventFile,
        spec_file: Path,
        refusals: Refusals | None = None,
        page: DescribedExperiment | None = None,
    ) -> None:
        described = DescribedRuns(experiment_id, ledger, runs, events, spec_file)
        self._shipper = Shipper(experiment_id, ledger, runs, described, events, spec_file, page)
        self._events = events
        self._refusals = refusals or Refusals(float("inf"))
        # The announced number of pending points, and the announced error.
        self._announced = (0, "")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(
        self, cancelled: threading.Event, cancel_shipping_s: float, is_superseded: Callable[[], bool] = lambda: False
    ) -> bool:
        """Ship until nothing is left, even if MLflow does not answer for a long time. Stop if `refusal` is not None.

        Args:
            cancelled: Set once the experiment is cancelled. Shipping then stops after a limited time.
            cancel_shipping_s: The time, in s, for which a cancelled experiment is still shipped.
            is_superseded: Returns whether a newer driver ships the rest.

        Returns:
            Whether everything is in MLflow.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        stop_at = None
        while not is_superseded():
            error = self.ship_once(is_last=True)
            if error is None and self.pending() == 0:
                return True
            if self.refusal is not None:
                return False
            if cancelled.is_set():
                stop_at = stop_at or time.monotonic() + cancel_shipping_s
                if time.monotonic() > stop_at:
                    return False
                time.sleep(POLL_INTERVAL_S)
            else:
                cancelled.wait(RETRY_INTERVAL_S if error else POLL_INTERVAL_S)
        return False

    @property
    def refusal(self) -> str | None:
        """MLflow's answer, if it has refused for so long that this counts as final; otherwise None."""
        return self._announced[1] if self._refusals.lasting else None

    def pending(self) -> int:
        """Return how many committed points are not in MLflow."""
        return self._shipper.pending()

    def kill_unfinished(self) -> None:
        """Close the runs of cancelled chains. If MLflow does not answer, they stay open. This does no harm."""
        try:
            self._shipper.kill_unfinished()
        except (MlflowException, RequestException) as error:
            log.warning("runs of cancelled chains stay open in MLflow: %s", error)

    def ship_once(self, *, is_last: bool = False) -> str | None:
        """Ship everything that is committed now; return MLflow's error, or None.

        Args:
            is_last: Whether no more trials run.
        """
        error, refused = None, None
        try:
            self._shipper.ship(is_last=is_last)
        except (MlflowException, RequestException) as exception:
            error, refused = " ".join(str(exception).split())[:300], exception
            if not is_refusal(exception):  # MLflow may have lost something: look everything up again
                self._shipper.forget()
            log.warning("%d points are not in MLflow yet: %s", self.pending(), error)
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
            except Exception as exception:  # for example an error of the storage; in `finish` it ends the driver
                log.exception("shipping failed and is tried again")
                error = str(exception)
            self._stop.wait(RETRY_INTERVAL_S if error else POLL_INTERVAL_S)
