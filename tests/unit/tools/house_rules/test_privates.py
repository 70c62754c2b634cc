"""Tests of the rule against private names: those of other libraries, and of the tests themselves, may be used."""

import pytest

from tests.tools.house_rules.privates import private_names
from tests.unit.tools.house_rules.conftest import Tree

SERVICE = """
class Outbox:
    def __init__(self):
        self._ledger = None

    def _try_ship(self): ...


_PUBLISHED = {}
"""


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("outbox._try_ship()", "_try_ship"),
        ("outbox._ledger.refresh()", "_ledger"),
        ("super()._try_ship()", "_try_ship"),
        ("from service.outbox import _PUBLISHED", "_PUBLISHED"),
        ("from tests.other import _api", "_api"),
        ("monkeypatch.setattr('service.outbox._PUBLISHED', {})", "_PUBLISHED"),
        ("monkeypatch.setattr(outbox, '_PUBLISHED', {})", "_PUBLISHED"),
        ("script = 'from service import outbox; print(outbox._PUBLISHED)'", "_PUBLISHED"),
    ],
)
def test_a_private_name_of_a_package_is_found(tree: Tree, code: str, name: str) -> None:
    files = tree({"service/outbox.py": SERVICE, "tests/test_outbox.py": f"import x\n{code}\n"})
    (finding,) = private_names(files)
    assert str(finding).startswith(f"tests/test_outbox.py:2: {name} is private; use public names")


@pytest.mark.parametrize(
    "code",
    [
        "module._forward_hooks",
        "row._mapping",
        "outbox.__class__",
        "from mlflow.validation import _validate as validate",
        "class Own:\n    def go(self, other):\n        self._ledger = 1\n        other._ledger",
        "service._session",
    ],
)
def test_private_names_of_other_code_and_public_names_may_be_used(tree: Tree, code: str) -> None:
    assert not list(private_names(tree({"service/outbox.py": SERVICE, "tests/test_outbox.py": f"{code}\n"})))
