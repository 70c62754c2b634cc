"""The refusals of MLflow. If all answers of MLflow are refusals for a certain time, the refusal counts as final."""

import time
from collections.abc import Callable

from mlflow.exceptions import MlflowException
from requests import RequestException

# Statuses that ask the client to try again later.
_LATER = (408, 429)


class Refusals:
    """The refusals in a row, with nothing shipped between them.

    Args:
        patience_s: The time, in s, after which refusals in a row count as final.
        clock: A monotonic clock, in s.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s, self._clock = patience_s, clock
        self._since: tuple[float, int] | None = None
        self.lasting = False

    def note(self, error: Exception | None, num_shipped: int) -> None:
        """Note the result of a try to ship.

        Args:
            error: Its error; None if it succeeded.
            num_shipped: A number that grows with everything that is shipped (`Shipper.num_shipped`).
        """
        now = self._clock()
        if error is None or not is_refusal(error):
            self._since = None
        elif self._since is None or self._since[1] != num_shipped:
            self._since = now, num_shipped
        self.lasting = self._since is not None and now - self._since[0] >= self._patience_s


def is_refusal(error: Exception) -> bool:
    """Return whether an error is a refusal that would come again: a 4xx status that does not ask to try later."""
    status = 0
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
    elif isinstance(error, RequestException) and error.response is not None:
        status = error.response.status_code
    return 400 <= status < 500 and status not in _LATER
