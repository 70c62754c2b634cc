"""Tests that every example is a valid spec."""

from pathlib import Path

import pytest

from service.documents import load_yaml
from service.search.configurations import infeasible
from service.spec import parse
from tests.root import ROOT

FOLDER = ROOT / "examples"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_each_example_has_no_faults(file: Path) -> None:
    assert infeasible(parse(load_yaml(file.read_text(encoding="utf-8")))) == []


def test_there_are_examples() -> None:
    assert list(FOLDER.glob("*.yaml"))
