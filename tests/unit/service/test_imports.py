"""What processes that train nothing do not load: torch alone takes a second and 200 MB of each."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "matplotlib", "sklearn", "optuna"}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["service.runner.driver", "service.api.app", "service.control.__main__"])
def test_a_process_that_trains_nothing_loads_nothing_to_train_with(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
