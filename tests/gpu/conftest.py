"""Where the Triton kernels are tested: on a GPU if there is one, else by Triton's interpreter, on the CPU.

    python -m pytest -c /dev/null --rootdir . --confcutdir tests/gpu tests/gpu

needs nothing but torch, Triton and pytest.
"""

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are loaded


@pytest.fixture
def device() -> torch.device:
    """Where the tensors lie."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
