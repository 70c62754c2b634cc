"""Tests of faults that come from a machine: the check tells them from others, and they condemn nothing."""

import errno
from pathlib import Path
from subprocess import CalledProcessError

import pytest
import torch

from service.failures import FailureType
from service.runner.checking.check_records import CheckReport, write_report
from service.runner.checking.check_subjects import subject_key
from service.runner.checking.examination import examine
from service.runner.diagnosis import failure_type, is_caused_by_machine
from service.storage import ExperimentFolder
from tests.unit.service.runner.checking.test_condemnation import (
    SDT,
    TIT,
    Other,
    condemnation,
    configs,
    failing,
    of,
    report,
)
from tests.unit.service.runner.checking.test_examination import config
from tests.unit.service.runner.test_diagnosis import caused
from tet_core.errors import DataError, EntryPointError, NoCompilerError, errors_of_entry_point

PACKAGE = """
def broken(**arguments):
    raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")

def no_cache(**arguments):
    raise PermissionError(13, "the cache of kernels belongs to another user")
"""


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken_net-1.0.dist-info"
    info.mkdir()
    (tmp_path / "broken_net.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-net\nVersion: 1.0\n")
    lines = [f"{name} = broken_net:{name}\n" for name in ("broken", "no_cache")]
    (info / "entry_points.txt").write_text("".join(["[tet.models]\n", *lines]))
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("all CUDA-capable devices are busy or unavailable"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("NCCL error in: init.cpp:1, unhandled system error"),
        RuntimeError("can't start new thread"),
        NoCompilerError("there is no C compiler: cc"),
        CalledProcessError(1, ["cc"]),
        caused(RuntimeError("the cache cannot be written"), PermissionError(errno.EACCES, "denied"), openly=True),
    ],
    ids=lambda error: str(error)[:20],
)
def test_an_unforeseen_error_of_the_machine_is_told_from_one_of_the_code(error: Exception) -> None:
    assert failure_type(error) is FailureType.ERROR
    assert is_caused_by_machine(error)
    with pytest.raises((EntryPointError, type(error))) as caught, errors_of_entry_point("mine"):
        raise error
    assert is_caused_by_machine(caught.value), "also in the code of a package"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes do not match"),
        RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu!"),
        ValueError("CUDA is not a number"),
        FileNotFoundError(errno.ENOENT, "no data"),
        caused(DataError("cannot be read"), FileNotFoundError(errno.ENOENT, "no such file"), openly=True),
    ],
    ids=lambda error: str(error)[:20],
)
def test_an_error_of_the_code_or_of_the_data_is_not_the_machines(error: Exception) -> None:
    assert not is_caused_by_machine(error)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("name", ["broken", "no_cache"])
def test_a_broken_machine_is_no_certain_fault(name: str) -> None:
    subject = config(model={"name": "entry_point", "entry_point": name})
    found = examine([subject], None)
    assert [(fault.key, fault.of_machine) for fault in found.faults] == [(subject_key(subject), True)]
    assert found.checked == ()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("given", ["0", ""])
def test_a_gpu_that_ray_has_given_and_torch_does_not_find_is_the_machines_fault(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    found = examine([config(device="cuda")], None)
    assert [fault.of_machine for fault in found.faults] == [bool(given)]


def test_a_fault_of_a_machine_condemns_nothing_if_there_is_no_other_node(experiment: ExperimentFolder) -> None:
    broken = of(configs(SDT)[0]).model_copy(update={"of_machine": True})
    write_report(experiment.check(1, 1), report(broken, of(configs(TIT)[1])))
    for _ in ("a driver", "a later driver"):
        checked = condemnation(experiment, Other(None))
        checked.look()
        assert failing(checked) == [False, False, True]


@pytest.mark.parametrize("broken", ["one", "two", "both"])
def test_a_fault_of_a_machine_confirms_no_fault_of_another(experiment: ExperimentFolder, broken: str) -> None:
    def seen_on(host: str) -> CheckReport:
        fault = of(configs(SDT)[0]).model_copy(update={"of_machine": broken in (host, "both")})
        return report(fault, host=host)

    write_report(experiment.check(1, 1), seen_on("one"))
    checked = condemnation(experiment, Other(seen_on("two")))
    checked.look()
    assert not checked.condemns


def test_a_stage_that_met_a_broken_machine_passes_on_another_host(experiment: ExperimentFolder) -> None:
    config = configs(SDT)[0]
    write_report(experiment.check(1, 1), report(of(config).model_copy(update={"of_machine": True})))
    checked = condemnation(experiment, Other(report(host="two")))
    checked.look()
    assert checked.passes_elsewhere(config, "one")
