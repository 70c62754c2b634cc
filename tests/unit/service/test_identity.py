"""Tests of the identity by which an API is known."""

import shutil
from pathlib import Path

import pytest

from service.identity import Identity, instance_of, own_version


def test_an_api_and_its_clients_compute_the_same_instance(tmp_path: Path) -> None:
    made = Identity.of(tmp_path)
    assert made == Identity.of(tmp_path) == Identity(own_version(), instance_of(tmp_path))
    assert Identity.from_headers(made.headers()) == made
    (tmp_path / "link").symlink_to(tmp_path)
    assert instance_of(tmp_path / "link") == made.instance


def test_a_copy_of_a_folder_is_another_instance(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = Identity.of(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert Identity.of(tmp_path / "b").instance != first.instance


def test_an_empty_mark_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "instance").touch()
    before = instance_of(tmp_path)
    assert Identity.of(tmp_path).instance != before
    assert len((tmp_path / "instance").read_text()) == 32


def test_a_folder_in_which_no_mark_can_be_written_still_has_an_instance(tmp_path: Path) -> None:
    assert Identity.of(tmp_path / "none").instance == instance_of(tmp_path / "none")


@pytest.mark.parametrize("value", ["", "a b", "\x1b[31m", "x" * 65, "ä"])
def test_an_answer_without_a_printable_identity_has_none(value: str) -> None:
    headers = Identity("1", "a").headers()
    assert all(Identity.from_headers({**headers, name: value}) is None for name in headers)
    assert Identity.from_headers({}) is None
