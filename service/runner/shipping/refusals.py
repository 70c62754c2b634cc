"""When MLflow is not away but refuses: after a while of nothing else, it will not change its mind by itself."""

import time
from collections.abc import Callable

from mlflow.exceptions import MlflowException
from requests import RequestException

# Answers that say "later", not "no".
_LATER = (408, 429)


class Refusals:
    """What MLflow has refused in a row, with nothing shipped in between.

    Args:
        patience_s: How long it may refuse until that counts as its last word.
        clock: Seconds, rising.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s, self._clock = patience_s, clock
        self._since: tuple[float, int] | None = None
        self.lasting = False

    def note(self, error: Exception | None, num_shipped: int) -> None:
        """Take note of a try to ship.

        Args:
            error: What came of it; None: all went well.
            num_shipped: How much has been shipped until now.
        """
        now = self._clock()
        if error is None or not is_refusal(error):
            self._since = None
        elif self._since is None or self._since[1] != num_shipped:
            self._since = now, num_shipped
        self.lasting = self._since is not None and now - self._since[0] >= self._patience_s


def is_refusal(error: Exception) -> bool:
    """Whether MLflow has answered, and will answer the same again: a 4xx status that is not about time."""
    status = 0
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
    elif isinstance(error, RequestException) and error.response is not None:
        status = error.response.status_code
    return 400 <= status < 500 and status not in _LATER
