"""Tests that processes that do not train load no training library: torch alone takes a second and 200 MB."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "matplotlib", "sklearn", "optuna"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["service.runner.driver", "service.api.app", "service.api.checking.__main__", "service.control.__main__"]
)
def test_a_process_that_does_not_train_loads_no_training_library(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
