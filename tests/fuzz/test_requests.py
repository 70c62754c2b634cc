"""A few hundred requests made from the API's own description; `make test-fuzz` makes 20,000."""

from pathlib import Path

import pytest

from tests.fuzz import requests


@pytest.mark.slow
def test_the_api_answers_as_it_describes_itself_and_never_with_5xx(tmp_path: Path) -> None:
    home = tmp_path / "home"
    found = requests.run(home, f"sqlite:///{home / 'tet.db'}", seed=0, limit_s=600, **requests.QUICK)
    assert found.passed, f"{found.summary}\n{found.report}"
    assert found.statuses.total() > 200, found.summary
    assert found.statuses["200"] + found.statuses["202"] > found.statuses.total() / 4, found.summary
