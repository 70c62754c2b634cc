"""Tests of the API by a few hundred requests made from its description; `make test-fuzz` makes 20,000."""

from pathlib import Path

import pytest

from tests.fuzz import requests


@pytest.mark.long
@pytest.mark.slow
def test_answers_fit_the_apis_description_and_are_never_5xx(tmp_path: Path) -> None:
    home = tmp_path / "home"
    result = requests.run(home, f"sqlite:///{home / 'tet.db'}", seed=0, limit_s=600, **requests.QUICK)
    assert result.passed, f"{result.summary}\n{result.report}"
    assert result.statuses.total() > 200, result.summary
    assert result.statuses["200"] + result.statuses["202"] > result.statuses.total() / 4, result.summary
