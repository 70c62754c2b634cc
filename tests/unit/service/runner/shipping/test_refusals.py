"""Tests of refusals: which errors of MLflow are refusals, and when refusals count as final."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    REQUEST_LIMIT_EXCEEDED,
)
from requests import ConnectionError as Away
from requests import HTTPError, Response

from service.runner.shipping.refusals import Refusals, is_refusal

REFUSED = MlflowException("The experiment must be in the 'active' state", INVALID_PARAMETER_VALUE)


def http(status: int) -> HTTPError:
    response = Response()
    response.status_code = status
    return HTTPError("no", response=response)


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (REFUSED, True),
        (MlflowException("no", PERMISSION_DENIED), True),
        (http(404), True),
        (MlflowException("later", REQUEST_LIMIT_EXCEEDED), False),
        (MlflowException("it has not answered", INTERNAL_ERROR), False),
        (http(408), False),
        (http(503), False),
        (Away("refused the connection"), False),
    ],
)
def test_a_refusal_is_an_answer_that_would_come_again(error: Exception, refused: bool) -> None:
    assert is_refusal(error) is refused


def test_refusals_are_final_after_enough_time_without_anything_else() -> None:
    now = 0.0
    refusals = Refusals(10, lambda: now)

    def after(seconds: float, error: Exception | None, shipped: int = 0) -> bool:
        nonlocal now
        now += seconds
        refusals.note(error, shipped)
        return refusals.lasting

    assert not after(0, REFUSED)
    assert not after(9, REFUSED)
    assert not after(9, REFUSED, shipped=1), "something was shipped in between"
    assert not after(9, Away("away"), shipped=1), "a failed connection is no refusal"
    assert not after(9, REFUSED, shipped=1)
    assert after(10, REFUSED, shipped=1)
    assert not after(0, None, shipped=9)
