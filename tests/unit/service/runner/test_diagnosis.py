"""Tests of the diagnosis of failures: their types and messages."""

import errno
import json
from pathlib import Path
from urllib.error import URLError

import pytest
from torch.distributed import DistBackendError

from service.errors import FieldError, SpecInvalid
from service.failures import ABOUT, Failure, FailureType
from service.runner.diagnosis import (
    TYPE_OF_CLASS,
    StageFailed,
    WorkerFailed,
    diagnose,
    diagnose_lost,
    failure_type,
    is_of_configuration,
)
from tests.ports import free_ports
from tests.root import ROOT
from tet_core.data.download import RemoteFile, download
from tet_core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    EntryPointError,
    EnvironmentMismatch,
    WorkersApartError,
    WorkersDifferError,
    errors_of_entry_point,
)

T = FailureType


DIAGNOSED: list[tuple[BaseException, FailureType, str]] = [
    (ConfigError("device", "cuda", "this machine has no CUDA device"), T.SPEC, "user"),
    (SpecInvalid([FieldError.at(["seeds"], [], "must hold a seed")]), T.SPEC, "user"),
    (ValueError("operands could not be broadcast together"), T.ERROR, "user"),
    (WorkersDifferError("worker 1 has another torch"), T.ENVIRONMENT, "cluster"),
    (WorkersApartError("another worker has failed"), T.NODE_LOST, "cluster"),
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
]
# Types that no class of exception has, and the module that gives them to a failure.
GIVEN_BY = {
    T.OUT_OF_MEMORY: "service/runner/diagnosis.py",
    T.STORAGE: "service/runner/diagnosis.py",
    T.ERROR: "service/runner/diagnosis.py",
    T.HEALTH: "service/runner/trial/train_stage.py",
    T.MAX_TIME: "service/runner/trial/heartbeat.py",
    T.STALLED: "service/runner/tuning/watchdog.py",
    T.ENGINE_LOST: "service/control/acts.py",
    T.TRACKING: "service/runner/outcome.py",
}


def test_every_type_belongs_to_a_class_of_exception_or_is_given_by_a_module() -> None:
    of_classes = set(TYPE_OF_CLASS.values())
    assert of_classes | set(GIVEN_BY) == set(FailureType)
    assert of_classes & set(GIVEN_BY) == set()
    assert [
        type_ for type_, file in GIVEN_BY.items() if f"FailureType.{type_.name}" not in (ROOT / file).read_text()
    ] == []


def test_every_class_of_exception_with_a_type_is_diagnosed_here() -> None:
    assert set(TYPE_OF_CLASS) <= {type(error) for error, *_ in DIAGNOSED}


@pytest.mark.parametrize(("error", "type_", "whose"), DIAGNOSED)
def test_a_failure_has_a_type_and_is_the_users_or_the_clusters(
    error: BaseException, type_: FailureType, whose: str
) -> None:
    assert failure_type(error) is type_
    assert diagnose(error).whose == whose == ABOUT[type_].whose


def caused(error: Exception, cause: OSError, *, openly: bool) -> Exception:
    try:
        try:
            raise cause
        except OSError as first:
            raise error from (first if openly else None)
    except type(error) as caught:
        return caught


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE])
def test_an_error_caused_by_a_temporary_failure_of_storage_is_the_clusters(number: int) -> None:
    cause = OSError(number, "it is away")
    for error in (DataError("digits: cannot be read"), RuntimeError("unexpected pos 704 vs 598")):
        failure = diagnose(caused(error, cause, openly=True))
        assert (failure.type, failure.whose) == ("storage", "cluster")
        assert failure.message == f"{error} (OSError: [Errno {number}] it is away)"


def test_an_error_caused_by_a_missing_file_stays_the_users() -> None:
    missing = FileNotFoundError(errno.ENOENT, "no such file")
    assert failure_type(caused(DataError("cannot be read"), missing, openly=True)) is T.DATA
    assert failure_type(caused(DataError("no such file"), OSError(errno.EIO, "x"), openly=False)) is T.DATA


def test_a_lack_of_memory_and_an_exceeded_limit_count_before_a_failure_of_storage() -> None:
    full = OSError(errno.ENOSPC, "full")
    assert failure_type(caused(MemoryError(), full, openly=True)) is T.OUT_OF_MEMORY
    assert failure_type(caused(StageFailed(T.HEALTH, "silent"), full, openly=True)) is T.HEALTH


def test_a_download_whose_connection_is_refused_is_the_clusters_failure(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with pytest.raises(DataError, match="Connection refused") as caught:
        download(f"http://127.0.0.1:{port}/", RemoteFile("a", 1, "0"), tmp_path)
    assert failure_type(caught.value) is T.STORAGE


def test_a_failure_has_the_message_and_the_traceback_of_its_exception() -> None:
    try:
        raise FloatingPointError("the sdt loss is nan in epoch 3")
    except FloatingPointError as error:
        failure = diagnose(error)
    assert (failure.type, failure.whose, failure.kind) == ("not_finite", "user", "FloatingPointError")
    assert failure.message == "the sdt loss is nan in epoch 3"
    assert "test_diagnosis.py" in failure.traceback


@pytest.mark.parametrize("raised", [ValueError("width is 3"), RuntimeError("shapes do not match"), KeyError("norm")])
def test_an_error_of_an_entry_point_keeps_its_kind_and_traceback(raised: Exception) -> None:
    with pytest.raises(EntryPointError) as caught, errors_of_entry_point("mine"):
        raise raised
    failure = diagnose(caught.value)
    assert (failure.type, failure.whose, failure.kind) == ("error", "user", type(raised).__name__)
    assert failure.message == f"entry_point 'mine' raised {type(raised).__name__}: {raised}"
    assert "test_diagnosis.py" in failure.traceback
    assert "EntryPointError" not in failure.traceback, "the author's own lines are kept"


def test_damaged_data_of_an_entry_point_are_the_users_failure() -> None:
    with pytest.raises(DataError) as caught, errors_of_entry_point("mine"):
        raise DataError("mine: the train set is empty")
    assert failure_type(caught.value) is T.DATA


def test_the_text_of_a_failure_can_always_be_stored() -> None:
    failure = diagnose(FileNotFoundError("no file \udcff\x00" + "x" * 100_000))
    assert failure.message.startswith("no file \\udcff\\x00xxx")
    assert len(failure.message) < 3_000
    assert len(failure.traceback) < 50_000
    json.dumps(failure.as_json(), ensure_ascii=False).encode()


def test_out_of_memory_has_advice() -> None:
    assert "lower batch_size or T" in diagnose(MemoryError("4 GB")).message


def test_every_type_is_explained() -> None:
    assert set(ABOUT) == set(FailureType)
    assert all(about.meaning.endswith(".") and about.advice.endswith(".") for about in ABOUT.values())


# Ray 2.60's texts about lost actors, by the way in which they were lost.
HEAD = "The actor died unexpectedly before finishing this task.\n\tclass_name: A\n\tpid: 1\n"
RAY_TEXTS = {
    "process": HEAD
    + "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit "
    "detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes: ...",
    "node": HEAD + "The actor is dead because its node has died. Node Id: 84c0",
    "cut off": "The actor 63b8 is unavailable: RpcError: RPC error: Socket closed.",
    "memory": "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2) "
    "was 6.71GB used / 23.54GB limit (0.284893)\nOOM kill reason: ...",
}


@pytest.mark.parametrize(
    ("loss", "type_", "message"),
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
def test_rays_text_about_a_lost_trial_gives_type_and_message(loss: str, type_: FailureType, message: str) -> None:
    failure = diagnose_lost(RAY_TEXTS.get(loss, ""))
    assert (failure.type, failure.message) == (type_, message)


@pytest.mark.parametrize(
    ("failure", "gpus_per_trial", "is_one"),
    [
        (diagnose(FloatingPointError("nan")), 0.5, True),
        (diagnose(StageFailed(FailureType.HEALTH, "silent")), 0, True),
        (diagnose(MemoryError()), 0, True),
        (diagnose(MemoryError()), 2, True),
        (diagnose(MemoryError()), 0.5, False),
        (diagnose_lost("the node was running low on memory: 1GB"), 1, False),
        (diagnose(WorkerFailed(diagnose_lost("the node was running low on memory: 1GB"))), 1, False),
        (diagnose(ValueError("x")), 0, False),
        (diagnose_lost("its node has died"), 0, False),
    ],
)
def test_a_failure_comes_from_the_configuration_or_from_the_node(
    failure: Failure, gpus_per_trial: float, *, is_one: bool
) -> None:
    assert is_of_configuration(failure, gpus_per_trial) is is_one
