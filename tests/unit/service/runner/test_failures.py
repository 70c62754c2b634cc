"""Which type of failure it is, and whose."""

import errno
import json
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from torch.distributed import DistBackendError

from service.failures import ABOUT, FailureType
from service.runner.failures import StageFailed, WorkerFailed, classify, describe, is_finding, lost
from tests.ports import free_ports
from tet_core.checkpoint import CheckpointError, EnvironmentMismatch
from tet_core.data.dataset import DataError
from tet_core.data.download import RemoteFile, download

T = FailureType


@pytest.mark.parametrize(
    ("error", "type_", "whose"),
    [
        (ValueError("device is 'cuda'"), T.SPEC, "user"),
        (CheckpointError("does not fit"), T.SPEC, "user"),
        (DataError("digits: the train set is empty"), T.DATA, "user"),
        (FileNotFoundError(errno.ENOENT, "no data"), T.DATA, "user"),
        (FloatingPointError("the loss is nan"), T.NOT_FINITE, "user"),
        (MemoryError(), T.OUT_OF_MEMORY, "user"),
        (DistBackendError("NCCL communicator was aborted"), T.NODE_LOST, "cluster"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), T.OUT_OF_MEMORY, "user"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), T.OUT_OF_MEMORY, "user"),
        (RuntimeError("shapes do not match"), T.ERROR, "user"),
        (KeyError("layers.3"), T.ERROR, "user"),
        (OSError(errno.ENOSPC, "no space left on device"), T.STORAGE, "cluster"),
        (OSError(errno.ESTALE, "stale file handle"), T.STORAGE, "cluster"),
        (ConnectionResetError("gone"), T.STORAGE, "cluster"),
        (TimeoutError("timed out"), T.STORAGE, "cluster"),
        (URLError(OSError(errno.ENETUNREACH, "unreachable")), T.STORAGE, "cluster"),
        (EnvironmentMismatch("another instruction set"), T.ENVIRONMENT, "cluster"),
        (StageFailed(T.MAX_TIME, "too long"), T.MAX_TIME, "user"),
    ],
)
def test_a_failure_has_a_type_and_is_the_users_or_the_clusters(
    error: BaseException, type_: FailureType, whose: str
) -> None:
    assert classify(error) is type_
    assert describe(error)["class"] == whose == ABOUT[type_].whose


def caused(error: Exception, cause: OSError, *, openly: bool) -> Exception:
    try:
        try:
            raise cause
        except OSError as first:
            raise error from (first if openly else None)
    except type(error) as found:
        return found


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE])
def test_what_came_of_a_storage_that_failed_for_a_while_is_the_clusters(number: int) -> None:
    cause = OSError(number, "it is away")
    for error in (DataError("digits: cannot be read"), RuntimeError("unexpected pos 704 vs 598")):
        told = describe(caused(error, cause, openly=True))
        assert (told["type"], told["class"]) == ("storage", "cluster")
        assert told["message"] == f"{error} (OSError: [Errno {number}] it is away)"


def test_what_came_of_a_file_that_is_not_there_stays_the_users() -> None:
    missing = FileNotFoundError(errno.ENOENT, "no such file")
    assert classify(caused(DataError("cannot be read"), missing, openly=True)) is T.DATA
    assert classify(caused(DataError("no such file"), OSError(errno.EIO, "x"), openly=False)) is T.DATA


def test_memory_and_what_the_service_found_out_go_before_storage() -> None:
    full = OSError(errno.ENOSPC, "full")
    assert classify(caused(MemoryError(), full, openly=True)) is T.OUT_OF_MEMORY
    assert classify(caused(StageFailed(T.HEALTH, "silent"), full, openly=True)) is T.HEALTH


def test_a_download_that_is_refused_its_connection_is_the_clusters(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with pytest.raises(DataError, match="Connection refused") as caught:
        download(f"http://127.0.0.1:{port}/", RemoteFile("a", 1, "0"), tmp_path)
    assert classify(caught.value) is T.STORAGE


def test_a_failure_is_described_with_its_message_and_where_it_came_from() -> None:
    try:
        raise FloatingPointError("the sdt loss is nan in epoch 3")
    except FloatingPointError as error:
        found = describe(error)
    assert (found["type"], found["class"], found["kind"]) == ("not_finite", "user", "FloatingPointError")
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


def test_every_type_is_explained() -> None:
    assert set(ABOUT) == set(FailureType)
    assert all(about.meaning.endswith(".") and about.advice.endswith(".") for about in ABOUT.values())


# What Ray 2.60 said of actors that were lost in these ways.
HEAD = "The actor died unexpectedly before finishing this task.\n\tclass_name: A\n\tpid: 1\n"
SAID = {
    "process": HEAD
    + "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit "
    "detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes: ...",
    "node": HEAD + "The actor is dead because its node has died. Node Id: 84c0",
    "cut off": "The actor 63b8 is unavailable: RpcError: RPC error: Socket closed.",
    "memory": "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2) "
    "was 6.71GB used / 23.54GB limit (0.284893)\nOOM kill reason: ...",
}


@pytest.mark.parametrize(
    ("said", "type_", "message"),
    [
        (
            "process",
            T.NODE_LOST,
            "the trial's process was lost: Worker unexpectedly exits with a connection error code 2",
        ),
        ("node", T.NODE_LOST, "the trial's node was lost"),
        ("cut off", T.NODE_LOST, "the trial's node was lost, or cut off: it does not answer any more"),
        (
            "memory",
            T.OUT_OF_MEMORY,
            "out of memory: Ray ended the trial, since its node was short of memory (6.71GB used / 23.54GB limit); "
            "lower batch_size or T, run fewer trials a node (cpus_per_trial), or take larger nodes",
        ),
        ("nothing", T.NODE_LOST, "the trial's process or node was lost"),
    ],
)
def test_what_ray_says_of_a_lost_trial_is_put_in_words(said: str, type_: FailureType, message: str) -> None:
    found = lost(SAID.get(said, ""))
    assert (found["type"], found["message"]) == (type_, message)


@pytest.mark.parametrize(
    ("failure", "gpus_per_trial", "is_one"),
    [
        (describe(FloatingPointError("nan")), 0.5, True),
        (describe(StageFailed(FailureType.HEALTH, "silent")), 0, True),
        (describe(MemoryError()), 0, True),
        (describe(MemoryError()), 2, True),
        (describe(MemoryError()), 0.5, False),
        (lost("the node was running low on memory: 1GB"), 1, False),
        (describe(WorkerFailed(lost("the node was running low on memory: 1GB"))), 1, False),
        (describe(ValueError("x")), 0, False),
        (lost("its node has died"), 0, False),
    ],
)
def test_what_says_something_of_a_configuration_and_not_of_where_it_ran(
    failure: dict[str, Any], gpus_per_trial: float, *, is_one: bool
) -> None:
    assert is_finding(failure, gpus_per_trial) is is_one
