"""Whose failure it is."""

import errno
import json

import pytest

from service.runner.failures import classify, describe
from tet_core.checkpoint import CheckpointError, EnvironmentMismatch


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (ValueError("no such thing"), "user"),
        (FloatingPointError("the loss is nan"), "user"),
        (MemoryError(), "user"),
        (FileNotFoundError(errno.ENOENT, "no data"), "user"),
        (CheckpointError("damaged"), "user"),
        (OSError(errno.ENOSPC, "no space left on device"), "cluster"),
        (OSError(errno.ESTALE, "stale file handle"), "cluster"),
        (ConnectionResetError("gone"), "cluster"),
        (EnvironmentMismatch("another instruction set"), "cluster"),
    ],
)
def test_a_failure_is_the_users_or_the_clusters(error: BaseException, whose: str) -> None:
    assert classify(error) == whose


def test_a_failure_is_described_with_its_message_and_where_it_came_from() -> None:
    try:
        raise FloatingPointError("the sdt loss is nan in epoch 3")
    except FloatingPointError as error:
        found = describe(error)
    assert (found["class"], found["kind"]) == ("user", "FloatingPointError")
    assert found["message"] == "the sdt loss is nan in epoch 3"
    assert "test_failures.py" in found["traceback"]


def test_a_failures_text_can_be_stored_whatever_it_quotes() -> None:
    found = describe(FileNotFoundError("no file \udcff\x00" + "x" * 100_000))
    assert found["message"].startswith("no file \\udcff\\x00xxx")
    assert len(found["message"]) < 3_000
    assert len(found["traceback"]) < 50_000
    json.dumps(found, ensure_ascii=False).encode()


def test_out_of_memory_says_what_to_do() -> None:
    assert "lower batch_size or T" in describe(MemoryError("4 GB"))["message"]
