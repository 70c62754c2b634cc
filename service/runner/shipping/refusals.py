"""The refusals of MLflow: it answers, but with 'no'. After a time without anything else, that counts as final."""

import time
from collections.abc import Callable

from mlflow.exceptions import MlflowException
from requests import RequestException

# Answers that say "later", not "no".
_LATER = (408, 429)


class Refusals:
    """The refusals in a row, with nothing shipped in between.

    Args:
        patience_s: How long, in s, MLflow may refuse until that counts as final.
        clock: A monotonic clock, in s.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s, self._clock = patience_s, clock
        self._since: tuple[float, int] | None = None
        self.lasting = False

    def note(self, error: Exception | None, num_shipped: int) -> None:
        """Note a try to ship.

        Args:
            error: Its error; None: there was none.
            num_shipped: How much has been shipped so far.
        """
        now = self._clock()
        if error is None or not is_refusal(error):
            self._since = None
        elif self._since is None or self._since[1] != num_shipped:
            self._since = now, num_shipped
        self.lasting = self._since is not None and now - self._since[0] >= self._patience_s


def is_refusal(error: Exception) -> bool:
    """Return whether MLflow has answered, and would answer the same again: a 4xx status that does not say 'later'."""
    status = 0
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
    elif isinstance(error, RequestException) and error.response is not None:
        status = error.response.status_code
    return 400 <= status < 500 and status not in _LATER
