"""The device for the tests of the Triton kernels: a GPU if there is one, else the CPU, by Triton's interpreter.

    python -m pytest -c /dev/null --rootdir . --confcutdir tests/gpu tests/gpu

This command runs the tests with only torch, Triton and pytest installed.
"""

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are loaded


@pytest.fixture
def device() -> torch.device:
    """Return the device of the tensors."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
