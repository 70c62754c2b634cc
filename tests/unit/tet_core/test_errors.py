"""Tests of errors: they say whose fault they are, also after they are sent to another process."""

import errno
import pickle
import re
import subprocess
import sys

import pytest
import torch

from tet_core import errors
from tet_core.errors import ConfigError, DataError, EntryPointError, errors_of_entry_point


def test_errors_load_no_torch() -> None:
    code = "import sys, tet_core.errors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_config_error_names_field_value_and_what_is_accepted_also_in_another_process() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("lamb", 2.0, "it must be from 0 to 1")))
    assert str(error) == "lamb is 2.0; it must be from 0 to 1"
    assert (error.field, error.value, error.accepted) == ("lamb", 2.0, "it must be from 0 to 1")
    assert isinstance(error, ValueError)


def test_an_error_in_an_entry_points_code_becomes_an_entry_point_error() -> None:
    message = r"^entry_point 'mine' raised ValueError: depth is odd$"
    with pytest.raises(EntryPointError, match=message) as caught, errors_of_entry_point("mine"):
        raise ValueError("depth is odd")
    assert isinstance(caught.value.__cause__, ValueError)
    assert not isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


PASSED_ON = [
    ConfigError("width", 0, "it must be 1 or more"),
    DataError("cat.png: damaged"),
    errors.CheckpointError("it does not fit"),
    errors.EnvironmentMismatch("made in another environment"),
    errors.WorkersDifferError("worker 1 has another torch"),
    errors.WorkersApartError("worker 1 does not answer"),
    errors.NoCompilerError("there is no compiler"),
    EntryPointError("entry_point 'mine' raised KeyError"),
    FloatingPointError("the loss is nan"),
    OSError(errno.ESTALE, "stale file handle"),
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    torch.distributed.DistError("the others are gone"),
]


def test_every_error_of_this_package_is_in_the_tree_and_passes_unchanged() -> None:
    defined = {each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__}
    assert {each.__name__ for each in defined} <= set(re.findall(r"── (\w+)", errors.__doc__ or ""))
    assert defined <= {type(error) for error in PASSED_ON}


@pytest.mark.parametrize("error", PASSED_ON, ids=lambda error: type(error).__name__)
def test_an_error_that_says_whose_fault_it_is_passes_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, errors_of_entry_point("mine"):
        raise error
    assert caught.value is error
